"""The handshakes of one private key that are under way, and their message indices.

Arithmetic and bookkeeping only: what follows from a finished handshake is the device's affair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from node.wireguard.constants import INITIATION_INTERVAL_S
from node.wireguard.events import Drop
from node.wireguard.handshake import InitiatorHandshake, ResponderHandshake
from node.wireguard.primitives import CryptographyRefusedError
from node.wireguard.tai64n import Stamper

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping

    from node.wireguard.handshake import TransportKeys
    from node.wireguard.keys import SecretKey
    from node.wireguard.messages import Initiation, Response
    from node.wireguard.peer import Peer
    from node.wireguard.session import Session


class Answered(NamedTuple):
    """An initiation that was good: from whom, the keys, what to send back without its MACs."""

    peer: Peer
    keys: TransportKeys
    response: bytes


class Handshakes:
    """Starts, answers and finishes handshakes. Draws entropy and time by the callables given."""

    def __init__(
        self,
        private: SecretKey,
        public_key: bytes,
        sessions: Mapping[int, Session],
        drops: Counter[Drop],
        *,
        entropy: Callable[[int], bytes],
        unix_ns: Callable[[], int],
    ) -> None:
        self._private = private
        self._public_key = public_key
        self._sessions = sessions
        self._drops = drops
        self._entropy = entropy
        self._unix_ns = unix_ns
        self._stamper = Stamper()
        self._under_way: dict[int, Peer] = {}

    def initiator_of(self, index: int) -> Peer | None:
        """Return the peer that the initiation with this index went to."""
        return self._under_way.get(index)

    def initiate(self, peer: Peer) -> bytes | None:
        """Return a first message without its MACs; None when the peer's key is no key."""
        self.drop(peer)
        index = self._new_index()
        handshake = InitiatorHandshake(self._private, peer.preshared, index)
        try:
            initiation = handshake.initiate(
                peer.public_key, self._entropy(32), self._stamper.stamp(self._unix_ns())
            )
        except CryptographyRefusedError:
            self._drops[Drop.HANDSHAKE_INVALID] += 1
            return None
        peer.handshake = handshake
        self._under_way[index] = peer
        return initiation.pack()

    def answer(
        self, initiation: Initiation, peers: Mapping[bytes, Peer], now: float
    ) -> Answered | None:
        """Answer a peer's initiation, or count why not. Raises CryptographyRefusedError."""
        handshake = ResponderHandshake(self._private, self._public_key, initiation)
        peer = peers.get(handshake.remote_public)
        if peer is None:
            self._drops[Drop.UNKNOWN_PEER] += 1
            return None
        timestamp = handshake.read_timestamp()
        if timestamp <= peer.last_timestamp:
            self._drops[Drop.STALE_TIMESTAMP] += 1
            return None
        if now - peer.last_initiation_accepted_at < INITIATION_INTERVAL_S:
            self._drops[Drop.HANDSHAKE_RATE] += 1
            return None
        index = self._new_index()
        response, keys = handshake.respond(peer.preshared, self._entropy(32), index)
        peer.last_timestamp = timestamp
        peer.last_initiation_accepted_at = now
        return Answered(peer, keys, response.pack())

    def finish(self, response: Response) -> tuple[Peer, TransportKeys] | None:
        """Finish a handshake of ours, or count why not. Raises CryptographyRefusedError."""
        peer = self._under_way.get(response.receiver)
        if peer is None or peer.handshake is None:
            self._drops[Drop.UNKNOWN_INDEX] += 1
            return None
        keys = peer.handshake.finish(response)
        self.drop(peer)
        return peer, keys

    def drop(self, peer: Peer) -> None:
        """Forget the handshake that we began with a peer, if any, and its keys."""
        if peer.handshake is not None:
            self._under_way.pop(peer.handshake.local_index, None)
            peer.handshake.wipe()
            peer.handshake = None

    def _new_index(self) -> int:
        while True:
            index = int.from_bytes(self._entropy(4), "little")
            if index not in self._sessions and index not in self._under_way:
                return index
