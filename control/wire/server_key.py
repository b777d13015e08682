"""`GET /key`: how a node learns the server's control key, over TLS and before anything else."""

# ruff: noqa: RUF009  (the calls in field defaults declare fields; they make no values)

from __future__ import annotations

from dataclasses import dataclass

from control.keys import MachinePublic
from control.wire._codec import Message, always
from control.wire._scalars import MACHINE_KEY

__all__ = ["ServerKeys"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerKeys(Message):
    """The answer: the key of the ts2021 channel, and a legacy one that is always zero."""

    legacy_public_key: MachinePublic = always(
        "legacyPublicKey", MACHINE_KEY, zero=MachinePublic.zero()
    )
    public_key: MachinePublic = always("publicKey", MACHINE_KEY, zero=MachinePublic.zero())
