"""Noise_IKpsk2 as WireGuard runs it: the algebra of the two handshake messages.

    initiator: e, es, s, ss, timestamp      responder: e, ee, se, psk, empty

Nothing here knows of time, retries or peers' tables. Relay reference 9.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from node.wireguard.constants import CONSTRUCTION, IDENTIFIER
from node.wireguard.messages import Initiation, Response
from node.wireguard.primitives import (
    ZERO_KEY,
    hash_of,
    kdf,
    public_of,
    seal,
    shared_secret,
    unseal,
)

if TYPE_CHECKING:
    from node.wireguard.keys import SecretKey

INITIAL_CHAIN = hash_of(CONSTRUCTION)
INITIAL_HASH = hash_of(INITIAL_CHAIN, IDENTIFIER)


@dataclass(slots=True)
class TransportKeys:
    """What a finished handshake yields."""

    send: bytes
    receive: bytes
    local_index: int
    remote_index: int
    is_initiator: bool

    def __repr__(self) -> str:
        return f"TransportKeys(local_index={self.local_index:#010x}, keys=<redacted>)"


class _Symmetric:
    """Chaining key and transcript hash."""

    __slots__ = ("chain", "hash")

    def __init__(self, responder_public: bytes) -> None:
        self.chain = INITIAL_CHAIN
        self.hash = hash_of(INITIAL_HASH, responder_public)

    def mix_hash(self, part: bytes) -> None:
        self.hash = hash_of(self.hash, part)

    def mix_key(self, material: bytes) -> None:
        (self.chain,) = kdf(1, self.chain, material)

    def mix_key_for_seal(self, material: bytes) -> bytes:
        self.chain, key = kdf(2, self.chain, material)
        return key

    def mix_preshared(self, preshared: bytes) -> bytes:
        self.chain, tau, key = kdf(3, self.chain, preshared)
        self.mix_hash(tau)
        return key

    def mix_ephemeral(self, ephemeral: bytes) -> None:
        self.mix_hash(ephemeral)
        self.mix_key(ephemeral)

    def seal(self, key: bytes, plaintext: bytes) -> bytes:
        sealed = seal(key, 0, plaintext, self.hash)
        self.mix_hash(sealed)
        return sealed

    def unseal(self, key: bytes, sealed: bytes) -> bytes:
        plaintext = unseal(key, 0, sealed, self.hash)
        self.mix_hash(sealed)
        return plaintext

    def split(self) -> tuple[bytes, bytes]:
        first, second = kdf(2, self.chain, b"")
        return first, second

    def wipe(self) -> None:
        self.chain = self.hash = b""


class InitiatorHandshake:
    """Our side of a handshake that we began; lives until its response arrives."""

    __slots__ = ("_ephemeral", "_local", "_preshared", "_state", "local_index")

    def __init__(self, local: SecretKey, preshared: SecretKey | None, local_index: int) -> None:
        self._local = local
        self._preshared = preshared
        self.local_index = local_index
        self._ephemeral = b""
        self._state: _Symmetric | None = None

    def initiate(self, remote_public: bytes, ephemeral: bytes, timestamp: bytes) -> Initiation:
        """Make the first message. Raises CryptographyRefusedError for a low-order peer key."""
        state = _Symmetric(remote_public)
        ephemeral_public = public_of(ephemeral)
        state.mix_ephemeral(ephemeral_public)
        key = state.mix_key_for_seal(shared_secret(ephemeral, remote_public))
        static = state.seal(key, self._local.public())
        key = state.mix_key_for_seal(shared_secret(self._local.reveal(), remote_public))
        stamp = state.seal(key, timestamp)
        self._ephemeral = ephemeral
        self._state = state
        return Initiation(self.local_index, ephemeral_public, static, stamp)

    def finish(self, response: Response) -> TransportKeys:
        """Read the response. Raises CryptographyRefusedError; the handshake then still waits."""
        if self._state is None:
            raise RuntimeError("finish called before initiate")
        state = _copy(self._state)
        state.mix_ephemeral(response.ephemeral)
        state.mix_key(shared_secret(self._ephemeral, response.ephemeral))
        state.mix_key(shared_secret(self._local.reveal(), response.ephemeral))
        key = state.mix_preshared(_reveal(self._preshared))
        state.unseal(key, response.empty)
        send, receive = state.split()
        self.wipe()
        return TransportKeys(send, receive, self.local_index, response.sender, is_initiator=True)

    def wipe(self) -> None:
        """Forget the ephemeral key and the chain."""
        self._ephemeral = b""
        if self._state is not None:
            self._state.wipe()


class ResponderHandshake:
    """Our side of a handshake that a peer began: read, look the peer up, answer."""

    __slots__ = ("_initiation", "_local", "_state", "remote_public")

    def __init__(self, local: SecretKey, local_public: bytes, initiation: Initiation) -> None:
        """Read the initiator's identity. Raises CryptographyRefusedError for noise."""
        state = _Symmetric(local_public)
        state.mix_ephemeral(initiation.ephemeral)
        key = state.mix_key_for_seal(shared_secret(local.reveal(), initiation.ephemeral))
        self.remote_public = state.unseal(key, initiation.static)
        self._state = state
        self._local = local
        self._initiation = initiation

    def read_timestamp(self) -> bytes:
        """Authenticate the initiator and return its TAI64N stamp.

        Raises CryptographyRefusedError when the sender does not own the key it names.
        """
        static_secret = shared_secret(self._local.reveal(), self.remote_public)
        key = self._state.mix_key_for_seal(static_secret)
        return self._state.unseal(key, self._initiation.timestamp)

    def respond(
        self, preshared: SecretKey | None, ephemeral: bytes, local_index: int
    ) -> tuple[Response, TransportKeys]:
        """Make the second message and the transport keys."""
        state = self._state
        ephemeral_public = public_of(ephemeral)
        state.mix_ephemeral(ephemeral_public)
        state.mix_key(shared_secret(ephemeral, self._initiation.ephemeral))
        state.mix_key(shared_secret(ephemeral, self.remote_public))
        key = state.mix_preshared(_reveal(preshared))
        empty = state.seal(key, b"")
        receive, send = state.split()
        state.wipe()
        response = Response(local_index, self._initiation.sender, ephemeral_public, empty)
        keys = TransportKeys(
            send, receive, local_index, self._initiation.sender, is_initiator=False
        )
        return response, keys


def _reveal(preshared: SecretKey | None) -> bytes:
    return ZERO_KEY if preshared is None else preshared.reveal()


def _copy(state: _Symmetric) -> _Symmetric:
    copy = _Symmetric.__new__(_Symmetric)
    copy.chain, copy.hash = state.chain, state.hash
    return copy
