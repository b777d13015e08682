"""SCTP as far as connection tracking needs it: chunks, and an association's verification tags.

Every packet of an association carries the tag that its receiver chose in INIT or INIT ACK (RFC
9260 8.5). A packet with another tag is none of the association's, though addresses and ports are:
it has to be judged as if nothing were known of them. Checksums are the endpoints' affair.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_CHUNKS = 512
"""In one packet. 9000 bytes hold 449 DATA chunks of the least size; more are taken for abuse."""

_COMMON_HEADER = 12
_CHUNK_HEADER = 4
_INITIATE_TAG_END = 8
_REFLECTED = 0x01
"""T bit of ABORT and SHUTDOWN COMPLETE: the tag is the one that its sender would receive."""


class Chunk(IntEnum):
    """Chunk types that open, move or end an association (RFC 9260 3.2)."""

    DATA = 0
    INIT = 1
    INIT_ACK = 2
    SACK = 3
    ABORT = 6
    SHUTDOWN = 7
    COOKIE_ECHO = 10
    SHUTDOWN_COMPLETE = 14


_LEAST_LENGTH: Mapping[int, int] = {
    Chunk.DATA: 17,
    Chunk.INIT: 20,
    Chunk.INIT_ACK: 20,
    Chunk.SACK: 16,
    Chunk.SHUTDOWN: 8,
}
_ALONE = frozenset({Chunk.INIT, Chunk.INIT_ACK, Chunk.SHUTDOWN_COMPLETE})
_CARRY_TAG = frozenset({Chunk.INIT, Chunk.INIT_ACK})
_ENDS = frozenset({Chunk.ABORT, Chunk.SHUTDOWN_COMPLETE})
_TELLING = (Chunk.ABORT, Chunk.SHUTDOWN_COMPLETE, Chunk.COOKIE_ECHO, Chunk.INIT_ACK, Chunk.INIT)


class SctpPacket(NamedTuple):
    """What one packet says about its association."""

    tag: int
    chunk: int
    """The type of the chunk that says most; of the first one when none says anything."""
    initiate_tag: int = 0
    """INIT, INIT ACK: the tag that packets to its sender shall carry."""
    is_reflected: bool = False
    """ABORT, SHUTDOWN COMPLETE: whether the tag is the one of the other direction."""

    @property
    def opens(self) -> bool:
        """Whether it asks for a new association."""
        return self.chunk == Chunk.INIT

    @property
    def ends(self) -> bool:
        """Whether it says that the association is over."""
        return self.chunk in _ENDS


def read(upper: memoryview | bytes, *, is_whole: bool) -> SctpPacket | None:
    """Read a packet from its common header on; None when it is malformed.

    Of a first fragment (`is_whole` false) the last chunk may be cut. Malformed are chunks that
    overlap, run past the end or are shorter than their type allows; a packet without chunks or
    with more than `MAX_CHUNKS`; bundles with a chunk that has to be alone (6.10); tag zero on
    anything but INIT and the other way round (8.5.1), and a zero initiate tag (3.3.2, 3.3.3).
    """
    chunks = _chunks(upper, is_whole=is_whole)
    if not chunks:
        return None
    tag = int.from_bytes(upper[4:8], "big")
    chunk = next((kind for kind in _TELLING if kind in chunks), next(iter(chunks)))
    if (tag == 0) != (chunk == Chunk.INIT):
        return None
    at = chunks[chunk]
    if chunk in _CARRY_TAG:
        initiate_tag = int.from_bytes(upper[at + _CHUNK_HEADER : at + _INITIATE_TAG_END], "big")
        return SctpPacket(tag, chunk, initiate_tag) if initiate_tag else None
    is_reflected = chunk in _ENDS and bool(upper[at + 1] & _REFLECTED)
    return SctpPacket(tag, chunk, is_reflected=is_reflected)


def _chunks(upper: memoryview | bytes, *, is_whole: bool) -> dict[int, int] | None:
    """Return where the first chunk of each type begins, in order; None when malformed."""
    at, end, count = _COMMON_HEADER, len(upper), 0
    found: dict[int, int] = {}
    while at < end:
        if end - at < _CHUNK_HEADER:
            # A cut header may hide anything; behind one that was read it hides what may follow.
            return found if found and not is_whole else None
        kind, length = upper[at], upper[at + 2] << 8 | upper[at + 3]
        count += 1
        if length < _LEAST_LENGTH.get(kind, _CHUNK_HEADER) or count > MAX_CHUNKS:
            return None
        there = end - at
        if length > there and (is_whole or (kind in _CARRY_TAG and there < _INITIATE_TAG_END)):
            return None
        found.setdefault(kind, at)
        at += length + 3 & ~3
    is_bundle_broken = count > 1 and not _ALONE.isdisjoint(found)
    return None if is_bundle_broken else found


class Association:
    """The tags of one association, learned from the packets of both directions.

    Directions are told by `is_inbound`. INIT and INIT ACK only offer tags: a running association
    keeps its own until COOKIE ECHO makes the offer good (5.2: restarts, crossing INITs).
    """

    __slots__ = ("_has_spoken", "_offered", "_tags", "is_closed")

    def __init__(self) -> None:
        # By direction, outbound first: what packets of that direction carry. Zero: not known.
        self._tags = [0, 0]
        self._offered = [0, 0]
        self._has_spoken = [False, False]
        self.is_closed = False
        """Whether ABORT or SHUTDOWN COMPLETE was seen."""

    @property
    def is_established(self) -> bool:
        """Whether both sides have sent more than INIT and INIT ACK, which cost nothing."""
        return all(self._has_spoken)

    def owns(self, packet: SctpPacket, *, is_inbound: bool) -> bool:
        """Whether a packet belongs to this association.

        An INIT does while it is open: it restarts it or crosses another. Of a closed association,
        only what carries its tags: retransmissions.
        """
        expected = () if packet.opens else self._expected(packet, is_inbound=is_inbound)
        if expected:
            return packet.tag in expected
        # Who reflects a tag got a packet with it, which would have been seen.
        is_impossible = packet.is_reflected and any(self._tags + self._offered)
        return not (self.is_closed or is_impossible)

    def note(self, packet: SctpPacket, *, is_inbound: bool) -> None:
        """Learn from a packet that passes. The local side is believed, whatever tag it uses."""
        if packet.opens:
            self._offered[not is_inbound] = packet.initiate_tag
        elif packet.ends:
            self._end(packet, is_inbound=is_inbound)
        else:
            if not self.owns(packet, is_inbound=is_inbound):
                self._begin_anew(packet, is_inbound=is_inbound)
            self._learn(packet, is_inbound=is_inbound)

    def _expected(self, packet: SctpPacket, *, is_inbound: bool) -> tuple[int, ...]:
        way = is_inbound is not packet.is_reflected
        return tuple(tag for tag in (self._tags[way], self._offered[way]) if tag)

    def _end(self, packet: SctpPacket, *, is_inbound: bool) -> None:
        """Close, unless the packet is foreign or refuses an offer alone (5.2.2)."""
        if not self.owns(packet, is_inbound=is_inbound):
            return
        tag = self._tags[is_inbound is not packet.is_reflected]
        if tag and packet.tag != tag:
            self._offered = [0, 0]
        else:
            self.is_closed = True

    def _begin_anew(self, packet: SctpPacket, *, is_inbound: bool) -> None:
        """Forget the tags: the local side goes on with another association."""
        answered = self._offered[not is_inbound] if packet.chunk == Chunk.COOKIE_ECHO else 0
        self._tags, self._offered = [0, 0], [0, 0]
        self._tags[not is_inbound] = answered
        self._has_spoken = [False, False]
        self.is_closed = False

    def _learn(self, packet: SctpPacket, *, is_inbound: bool) -> None:
        if not (self._tags[is_inbound] or self._offered[is_inbound]):
            self._tags[is_inbound] = packet.tag
        if packet.chunk == Chunk.INIT_ACK:
            self._offered[not is_inbound] = packet.initiate_tag
            return
        self._has_spoken[is_inbound] = True
        if packet.chunk == Chunk.COOKIE_ECHO and packet.tag == self._offered[is_inbound]:
            for way, offered in enumerate(self._offered):
                self._tags[way] = offered or self._tags[way]
            self._offered = [0, 0]
