"""The two roles of the IK handshake. A node is the initiator, the control server the responder.

    <- s                     the initiator fetched the server's key before
    -> e, es, s, ss          101 bytes, in an HTTP header
    <- e, ee, se             51 bytes, first on the upgraded connection

The capability version stands in the initiation and in the prologue, so it cannot be changed on
the way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from control.keys import MachinePrivate, MachinePublic
from control.noise.messages import (
    ResponseDecoder,
    decode_initiation,
    encode_initiation,
    encode_response,
)
from control.noise.symmetric import SymmetricState

if TYPE_CHECKING:
    from control.keys import Entropy

__all__ = ["Initiator", "Responder", "TransportKeys"]

_PROLOGUE: Final = b"Tailscale Control Protocol v%d"
_KEY_BYTES: Final = 32
_SEALED_KEY_BYTES: Final = 48


@dataclass(frozen=True, slots=True)
class TransportKeys:
    """What a completed handshake leaves: a key for each direction, and the transcript's hash."""

    client_to_server: bytes = field(repr=False)
    server_to_client: bytes = field(repr=False)
    handshake_hash: bytes = field(repr=False)


class Initiator:
    """The node's side. `initiation` goes out at once; feed what comes back to `receive`."""

    __slots__ = ("_decoder", "_ephemeral", "_machine", "_state", "initiation")

    def __init__(
        self, *, version: int, machine: MachinePrivate, server: MachinePublic, entropy: Entropy
    ) -> None:
        self._machine = machine
        self._ephemeral = MachinePrivate.generate(entropy)
        self._decoder = ResponseDecoder()
        self._state = state = _start(version, server)
        e = self._ephemeral.public.raw
        state.mix_hash(e)
        sealed = state.encrypt_and_hash(state.mix_dh(self._ephemeral, server), machine.public.raw)
        tag = state.encrypt_and_hash(state.mix_dh(machine, server), b"")
        self.initiation: bytes = encode_initiation(version, e + sealed + tag)
        """101 bytes for the server."""

    def receive(self, data: bytes) -> tuple[TransportKeys, bytes] | None:
        """Take bytes of the answer in any chunks.

        Returns the keys and the bytes that came after the answer, or None while it is incomplete.
        Raises HandshakeError.
        """
        answer = self._decoder.receive(data)
        if answer is None:
            return None
        body, rest = answer
        server_ephemeral = MachinePublic(body[:_KEY_BYTES])
        state = self._state
        state.mix_hash(server_ephemeral.raw)
        state.mix_dh(self._ephemeral, server_ephemeral)
        state.decrypt_and_hash(state.mix_dh(self._machine, server_ephemeral), body[_KEY_BYTES:])
        return _transport_keys(state), rest


class Responder:
    """The server's side, complete as soon as it is made: `response` goes out, `keys` are ready.

    Raises HandshakeError. The version is authenticated but not judged: that is for the layer
    above, which can tell a person about it.
    """

    __slots__ = ("keys", "machine", "response", "version")

    def __init__(self, initiation: bytes, *, control: MachinePrivate, entropy: Entropy) -> None:
        self.version: int
        """Capability version that the node speaks."""
        self.version, body = decode_initiation(initiation)
        state = _start(self.version, control.public)
        client_ephemeral = MachinePublic(body[:_KEY_BYTES])
        state.mix_hash(client_ephemeral.raw)
        sealed_end = _KEY_BYTES + _SEALED_KEY_BYTES
        self.machine: MachinePublic = MachinePublic(
            state.decrypt_and_hash(
                state.mix_dh(control, client_ephemeral), body[_KEY_BYTES:sealed_end]
            )
        )
        """The machine key at the other end, authenticated."""
        state.decrypt_and_hash(state.mix_dh(control, self.machine), body[sealed_end:])

        ephemeral = MachinePrivate.generate(entropy)
        state.mix_hash(ephemeral.public.raw)
        state.mix_dh(ephemeral, client_ephemeral)
        tag = state.encrypt_and_hash(state.mix_dh(ephemeral, self.machine), b"")
        self.response: bytes = encode_response(ephemeral.public.raw + tag)
        """51 bytes for the node."""
        self.keys: TransportKeys = _transport_keys(state)
        """Keys of the record layer."""


def _start(version: int, server: MachinePublic) -> SymmetricState:
    state = SymmetricState()
    state.mix_hash(_PROLOGUE % version)
    state.mix_hash(server.raw)
    return state


def _transport_keys(state: SymmetricState) -> TransportKeys:
    client_to_server, server_to_client = state.split()
    return TransportKeys(client_to_server, server_to_client, state.handshake_hash)
