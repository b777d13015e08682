"""SCTP packets read, and the tags of associations."""

from __future__ import annotations

import struct

import pytest

from node.datapath.sctp import MAX_CHUNKS, Association, Chunk, SctpPacket, read
from tests.support.packets import sctp_chunk, sctp_init

DATA = sctp_chunk(0, bytes(13))
COOKIE_ACK = sctp_chunk(11)
HERE, THERE = 11, 22
"""What the local and the remote side want packets to carry."""


def packet(tag: int, *chunks: bytes) -> bytes:
    return struct.pack(">HHII", 1, 2, tag, 0) + b"".join(chunks)


@pytest.mark.parametrize(
    ("data", "want"),
    [
        (packet(0, sctp_init(7)), SctpPacket(0, Chunk.INIT, 7)),
        (packet(9, sctp_init(8, kind=2)), SctpPacket(9, Chunk.INIT_ACK, 8)),
        (packet(9, DATA), SctpPacket(9, Chunk.DATA)),
        (packet(9, DATA[:-3]), SctpPacket(9, Chunk.DATA)),
        (packet(9, COOKIE_ACK, DATA), SctpPacket(9, 11)),
        (packet(9, sctp_chunk(15, bytes(8)), sctp_chunk(10, b"cookie"), DATA), SctpPacket(9, 10)),
        (packet(9, sctp_chunk(9, bytes(4)), sctp_chunk(6)), SctpPacket(9, Chunk.ABORT)),
        (packet(9, sctp_chunk(6, flags=1)), SctpPacket(9, 6, is_reflected=True)),
        (packet(9, sctp_chunk(14, flags=1)), SctpPacket(9, 14, is_reflected=True)),
        (packet(9, *[COOKIE_ACK] * MAX_CHUNKS), SctpPacket(9, 11)),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else str(tuple(value)),
)
def test_packet_is_what_its_most_telling_chunk_says(data: bytes, want: SctpPacket) -> None:
    assert read(data, is_whole=True) == want
    assert read(memoryview(data), is_whole=False) == want


@pytest.mark.parametrize(
    "data",
    [
        packet(9),
        packet(9, bytes(4)),
        packet(9, DATA, b"\0"),
        packet(9, b"\0\0\0\3"),
        packet(9, b"\0\0\0\x14" + bytes(12)),
        packet(9, sctp_chunk(0, bytes(12))),
        packet(9, sctp_chunk(1, bytes(15))),
        packet(9, sctp_chunk(7)),
        packet(9, sctp_init(7)),
        packet(0, sctp_init(0)),
        packet(0, sctp_init(7), DATA),
        packet(0, DATA),
        packet(0, sctp_chunk(6)),
        packet(9, sctp_init(0, kind=2)),
        packet(9, DATA, sctp_init(7, kind=2)),
        packet(9, sctp_chunk(14), COOKIE_ACK),
        packet(9, *[COOKIE_ACK] * (MAX_CHUNKS + 1)),
    ],
)
def test_malformed_packet_is_none(data: bytes) -> None:
    assert read(data, is_whole=True) is None


def test_last_chunk_of_a_first_fragment_may_be_cut() -> None:
    cut = packet(9, sctp_chunk(0, bytes(500)))[:100]
    assert read(cut, is_whole=True) is None
    assert read(cut, is_whole=False) == SctpPacket(9, Chunk.DATA)
    assert read(packet(9, DATA, b"\6\0"), is_whole=False) == SctpPacket(9, Chunk.DATA)
    assert read(packet(0, sctp_init(7))[:20], is_whole=False) == SctpPacket(0, Chunk.INIT, 7)


@pytest.mark.parametrize("size", [12, 14, 16, 19])
def test_fragment_that_hides_an_initiate_tag_is_malformed(size: int) -> None:
    assert read(packet(0, sctp_init(7))[:size], is_whole=False) is None


# Associations. The remote side is at work in `is_inbound`.


def arrives(
    known: Association, tag: int, chunk: int, initiate: int = 0, *, t: bool = False
) -> bool:
    said = SctpPacket(tag, chunk, initiate, is_reflected=t)
    is_owned = known.owns(said, is_inbound=True)
    if is_owned:
        known.note(said, is_inbound=True)
    return is_owned


def leaves(known: Association, tag: int, chunk: int, initiate: int = 0, *, t: bool = False) -> None:
    known.note(SctpPacket(tag, chunk, initiate, is_reflected=t), is_inbound=False)


def established() -> Association:
    """Return an association that the remote side began."""
    known = Association()
    assert arrives(known, 0, Chunk.INIT, THERE)
    leaves(known, THERE, Chunk.INIT_ACK, HERE)
    assert arrives(known, HERE, Chunk.COOKIE_ECHO)
    leaves(known, THERE, 11)
    return known


def test_only_more_than_inits_establishes_an_association() -> None:
    known = Association()
    assert arrives(known, 0, Chunk.INIT, THERE)
    leaves(known, THERE, Chunk.INIT_ACK, HERE)
    assert not known.is_established
    assert established().is_established


def test_association_owns_its_tag_alone() -> None:
    known = established()
    assert arrives(known, HERE, Chunk.DATA)
    assert not arrives(known, THERE, Chunk.DATA)
    assert not arrives(known, 5, Chunk.DATA)


def test_answer_to_our_init_carries_the_tag_we_offered() -> None:
    known = Association()
    leaves(known, 0, Chunk.INIT, HERE)
    assert not arrives(known, 5, Chunk.INIT_ACK, THERE)
    assert not arrives(known, 5, Chunk.DATA)
    assert arrives(known, HERE, Chunk.INIT_ACK, THERE)
    leaves(known, THERE, Chunk.COOKIE_ECHO)
    assert arrives(known, HERE, 11)
    assert known.is_established


def test_association_picked_up_midway_learns_both_tags() -> None:
    known = Association()
    assert arrives(known, HERE, Chunk.DATA)
    leaves(known, THERE, Chunk.SACK)
    assert known.is_established
    assert not arrives(known, 5, Chunk.DATA)
    assert arrives(known, THERE, Chunk.ABORT, t=True)
    assert known.is_closed


@pytest.mark.parametrize("kind", [Chunk.ABORT, Chunk.SHUTDOWN_COMPLETE])
def test_end_is_believed_with_the_right_tag(kind: Chunk) -> None:
    known = established()
    assert not arrives(known, THERE, kind)
    assert not arrives(known, HERE, kind, t=True)
    leaves(known, 5, kind)
    assert not known.is_closed
    assert arrives(known, HERE, kind)
    assert known.is_closed


def test_tag_that_was_never_sent_cannot_be_reflected() -> None:
    known = Association()
    leaves(known, 0, Chunk.INIT, HERE)
    assert not arrives(known, 5, Chunk.ABORT, t=True)
    assert arrives(known, HERE, Chunk.ABORT)


def test_closed_association_owns_retransmissions_alone() -> None:
    known = established()
    leaves(known, THERE, Chunk.ABORT)
    assert arrives(known, HERE, 8)
    assert known.is_closed
    assert not arrives(known, 5, Chunk.DATA)
    assert not arrives(known, 0, Chunk.INIT, 33)


def test_end_out_of_nowhere_teaches_no_tag() -> None:
    known = Association()
    leaves(known, THERE, Chunk.ABORT)
    assert known.is_closed
    assert not arrives(known, HERE, Chunk.DATA)


def test_init_changes_no_tag_until_its_cookie_comes_back() -> None:
    known = established()
    assert arrives(known, 0, Chunk.INIT, 33)
    leaves(known, 33, Chunk.INIT_ACK, 44)
    assert arrives(known, HERE, Chunk.DATA)
    assert arrives(known, 44, Chunk.COOKIE_ECHO)
    assert not arrives(known, HERE, Chunk.DATA)
    assert arrives(known, 44, Chunk.DATA)
    leaves(known, 33, 11)
    assert not known.is_closed


def test_refused_restart_leaves_the_association_alone() -> None:
    known = established()
    assert arrives(known, 0, Chunk.INIT, 33)
    leaves(known, 33, Chunk.ABORT)
    assert not known.is_closed
    assert arrives(known, HERE, Chunk.DATA)


def test_refused_init_closes_what_it_began() -> None:
    known = Association()
    leaves(known, 0, Chunk.INIT, HERE)
    assert arrives(known, HERE, Chunk.ABORT)
    assert known.is_closed


def test_crossing_inits_make_one_association() -> None:
    known = Association()
    leaves(known, 0, Chunk.INIT, HERE)
    assert arrives(known, 0, Chunk.INIT, THERE)
    leaves(known, THERE, Chunk.INIT_ACK, HERE)
    assert arrives(known, HERE, Chunk.INIT_ACK, THERE)
    leaves(known, THERE, Chunk.COOKIE_ECHO)
    assert arrives(known, HERE, Chunk.COOKIE_ECHO)
    assert arrives(known, HERE, Chunk.DATA)
    assert not arrives(known, 5, Chunk.DATA)


def test_local_side_is_believed_with_another_tag() -> None:
    known = established()
    leaves(known, 77, Chunk.DATA)
    assert not known.is_established
    assert arrives(known, 88, Chunk.SACK)
    assert not arrives(known, HERE, Chunk.DATA)
    assert known.is_established


def test_first_of_two_cookies_may_be_the_one_that_is_taken() -> None:
    known = Association()
    leaves(known, 0, Chunk.INIT, HERE)
    assert arrives(known, HERE, Chunk.INIT_ACK, THERE)
    assert arrives(known, HERE, Chunk.INIT_ACK, 23)
    leaves(known, THERE, Chunk.COOKIE_ECHO)
    assert not arrives(known, 5, Chunk.DATA)
    assert arrives(known, HERE, 11)
