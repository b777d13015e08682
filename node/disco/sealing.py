"""The sealed wrapper: magic, sender's disco key, nonce, box (relay reference 3.1 and 3.3).

    0           6                    38                62
    +-----------+--------------------+-----------------+---------------------------+
    | magic (6) | sender key (32)    | nonce (24)      | tag and ciphertext        |
    +-----------+--------------------+-----------------+---------------------------+

Whose key it is gets looked up before any arithmetic: packets of strangers cost a dictionary look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from control.keys import BoxOpenError, DiscoPublic
from node.disco.errors import DiscoError, DiscoFault
from node.disco.messages import Message, pack, parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from control.keys import Box, DiscoPrivate, Entropy

__all__ = ["HEADER_BYTES", "MAGIC", "DiscoSealer", "sender_of"]

MAGIC = b"TS\xf0\x9f\x92\xac"
HEADER_BYTES = 38
_LEAST_BYTES = HEADER_BYTES + 24 + 16


def sender_of(packet: bytes) -> bytes:
    """Return the raw disco key in a packet's header. Raises DiscoError."""
    if not packet.startswith(MAGIC):
        raise DiscoError(DiscoFault.NOT_DISCO)
    if len(packet) < _LEAST_BYTES:
        raise DiscoError(DiscoFault.SHORT)
    return packet[len(MAGIC) : HEADER_BYTES]


class DiscoSealer:
    """Our disco key with one box for each peer's, computed once when the netmap names it."""

    def __init__(self, private: DiscoPrivate, entropy: Entropy) -> None:
        self._private = private
        self._entropy = entropy
        self.public = private.public.raw
        self._boxes: dict[bytes, Box] = {}

    def set_peers(self, keys: Iterable[bytes]) -> None:
        """Know exactly these peers; zero keys mean a peer without disco and are left out."""
        wanted = {key for key in keys if any(key) and key != self.public}
        for gone in self._boxes.keys() - wanted:
            del self._boxes[gone]
        for key in wanted - self._boxes.keys():
            try:
                self._boxes[key] = self._private.box_with(DiscoPublic(key))
            except BoxOpenError:
                # A low-order key: that peer stays on the relay like one without disco.
                continue

    def knows(self, key: bytes) -> bool:
        """Whether packets can be exchanged with this key."""
        return key in self._boxes

    def seal(self, message: Message, peer: bytes) -> bytes:
        """Return the packet for a peer. Raises DiscoError(UNKNOWN_SENDER) for a stranger."""
        box = self._boxes.get(peer)
        if box is None:
            raise DiscoError(DiscoFault.UNKNOWN_SENDER)
        return MAGIC + self.public + box.seal(pack(message), self._entropy)

    def open(self, packet: bytes) -> tuple[bytes, Message]:
        """Return the sender's disco key and the message. Raises DiscoError."""
        sender = sender_of(packet)
        box = self._boxes.get(sender)
        if box is None:
            raise DiscoError(
                DiscoFault.OWN_KEY if sender == self.public else DiscoFault.UNKNOWN_SENDER
            )
        try:
            plaintext = box.open(packet[HEADER_BYTES:])
        except BoxOpenError:
            raise DiscoError(DiscoFault.BAD_BOX) from None
        return sender, parse(plaintext)
