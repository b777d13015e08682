"""Keys: one type for each kind, and no way from one kind to another (control reference 1.1).

A contract package: it imports the standard library and the crypto library only, so that `relay`
and `node` can depend on it without pulling in the server. Keys are drawn from an injected
`entropy(length) -> bytes`; nothing here reads the system's randomness by itself.
"""

from __future__ import annotations

from control.keys._box import Box, BoxOpenError
from control.keys._curve25519 import (
    Curve25519Private,
    Curve25519Public,
    Entropy,
    LowOrderPointError,
)
from control.keys._text import KeyTextError
from control.keys.attestation import AttestationPublic
from control.keys.challenge import ChallengePrivate, ChallengePublic
from control.keys.disco import DiscoPrivate, DiscoPublic
from control.keys.lock import LockPrivate, LockPublic
from control.keys.machine import MachinePrivate, MachinePublic
from control.keys.mesh import MeshKey
from control.keys.node import NodePrivate, NodePublic

__all__ = [
    "AttestationPublic",
    "Box",
    "BoxOpenError",
    "ChallengePrivate",
    "ChallengePublic",
    "Curve25519Private",
    "Curve25519Public",
    "DiscoPrivate",
    "DiscoPublic",
    "Entropy",
    "KeyTextError",
    "LockPrivate",
    "LockPublic",
    "LowOrderPointError",
    "MachinePrivate",
    "MachinePublic",
    "MeshKey",
    "NodePrivate",
    "NodePublic",
]
