"""What must hold for any bytes and any chunking."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from control.keys import NodePrivate
from relay import frames, stun
from relay.errors import RelayError
from relay.handshake import ClientInfo, ServerInfo
from relay.session_client import ClientOptions, ClientSession
from relay.upgrade import parse_request_head, parse_response_head
from tests.support.relay_pair import Lab, SeededEntropy, Wire, drain

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

keys = st.binary(min_size=32, max_size=32)
packets = st.binary(max_size=300)
addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(
    # IPv4 in IPv6 clothes is read back as the IPv4 it is.
    lambda ip: getattr(ip, "ipv4_mapped", None) or ip
)
any_frames = st.one_of(
    st.builds(frames.ServerKey, keys),
    st.builds(frames.ClientInfoFrame, keys, st.binary(min_size=24, max_size=90)),
    st.builds(frames.ServerInfoFrame, st.binary(min_size=24, max_size=90)),
    st.builds(frames.SendPacket, keys, packets),
    st.builds(frames.RecvPacket, keys, packets),
    st.builds(frames.ForwardPacket, keys, keys, packets),
    st.builds(frames.KeepAlive),
    st.builds(frames.NotePreferred, st.booleans()),
    st.builds(frames.PeerGone, keys, st.sampled_from(frames.PeerGoneReason)),
    st.builds(
        frames.PeerPresent,
        keys,
        addresses,
        st.integers(0, 65535),
        st.integers(0, 15).map(frames.PresenceFlag),
    ),
    st.builds(frames.WatchConns),
    st.builds(frames.ClosePeer, keys),
    st.builds(frames.Ping, st.binary(min_size=8, max_size=8)),
    st.builds(frames.Pong, st.binary(min_size=8, max_size=8)),
    st.builds(frames.Health, st.text(max_size=40)),
    st.builds(frames.Restarting, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
)


DISCO = frames.DISCO_MAGIC + bytes(66)


def chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut `data` at the given places, whatever their order."""
    marks = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(marks)]


@given(any_frames)
def test_decode_undoes_encode(frame: frames.Frame) -> None:
    wire = frames.encode(frame)
    assert frames.decode(wire[0], wire[frames.HEADER_BYTES :]) == frame


@given(st.lists(any_frames, max_size=8), st.lists(st.integers(0, 5000), max_size=30))
def test_any_chunking_decodes_the_same(stream: list[frames.Frame], cuts: list[int]) -> None:
    wire = b"".join(map(frames.encode, stream))
    decoder = frames.FrameDecoder()
    seen = [frames.decode(*raw) for part in chunks(wire, cuts) for raw in decoder.feed(part)]
    assert seen == stream


@given(st.integers(0, 255), st.binary(max_size=120))
def test_any_payload_is_a_frame_or_a_fault(kind: int, payload: bytes) -> None:
    try:
        frames.decode(kind, payload)
    except RelayError:
        return


@given(st.binary(max_size=600), st.lists(st.integers(0, 600), max_size=5))
def test_any_bytes_leave_the_client_whole(data: bytes, cuts: list[int]) -> None:
    for options in (ClientOptions(host="x"), ClientOptions()):
        session = ClientSession(NodePrivate(b"\x11" * 32), options, entropy=SeededEntropy(), now=0)
        for part in chunks(data, cuts):
            session.receive(part, 0)


@given(
    st.one_of(st.binary(max_size=400), st.lists(any_frames, max_size=6)),
    st.lists(st.integers(0, 2000), max_size=8),
    st.booleans(),
    st.booleans(),
)
def test_any_bytes_leave_the_server_whole(
    data: bytes | list[frames.Frame], cuts: list[int], greeted: bool, in_place: bool
) -> None:
    lab = Lab()
    bystander = lab.join()
    wire = lab.join()
    session = wire.server if greeted else lab.session()
    stream = data if isinstance(data, bytes) else b"".join(map(frames.encode, data))
    stranger = wire if greeted else Wire(wire.client, session, wire.private)
    hand_over(lab, stranger, chunks(stream, cuts), in_place=in_place)
    bystander.client.ping(b"12345678")
    lab.settle()
    assert frames.Pong(b"12345678") in bystander.events


def hand_over(lab: Lab, wire: Wire, parts: list[bytes], *, in_place: bool) -> None:
    """Have the server read some parts, copying them or in its shared buffer."""
    for part in parts:
        if in_place:
            lab.read(wire, part)
        else:
            wire.server.receive(part, lab.now)
    lab.settle()


@given(
    st.lists(st.tuples(st.integers(0, 3), packets), max_size=12),
    st.lists(st.integers(0, 4000), max_size=20),
    st.booleans(),
)
def test_server_forwards_the_same_whatever_the_chunking(
    sends: list[tuple[int, bytes]], cuts: list[int], in_place: bool
) -> None:
    lab = Lab()
    sender, *receivers = [lab.join() for _ in range(4)]
    targets = [*(wire.key for wire in receivers), b"\x01" * 32]
    stream = b"".join(frames.encode(frames.SendPacket(targets[i], p)) for i, p in sends)
    hand_over(lab, sender, chunks(stream, cuts), in_place=in_place)
    for index, wire in enumerate(receivers):
        expected = [frames.RecvPacket(sender.key, p) for i, p in sends if i == index]
        assert wire.packets == expected


LOOKALIKE = frames.encode(frames.SendPacket(b"\x01" * 32, b"inner"))


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from([b"", b"x", b"data" * 18, DISCO, LOOKALIKE]),
            st.integers(1, 30),
        ),
        max_size=10,
    ),
    st.lists(st.integers(0, 20_000), max_size=6),
    st.booleans(),
)
def test_runs_of_equal_frames_are_forwarded_like_single_ones(
    runs: list[tuple[int, bytes, int]], cuts: list[int], in_place: bool
) -> None:
    lab = Lab()
    sender, *receivers = [lab.join() for _ in range(4)]
    sends = [(i, packet) for i, packet, repeat in runs for _ in range(repeat)]
    stream = b"".join(frames.encode(frames.SendPacket(receivers[i].key, p)) for i, p in sends)
    hand_over(lab, sender, chunks(stream, cuts), in_place=in_place)
    for index, wire in enumerate(receivers):
        expected = [frames.RecvPacket(sender.key, p) for i, p in sends if i == index]
        assert wire.packets == expected
    counters = lab.router.counters
    assert counters.packets_received == len(sends)
    assert counters.packets_received_disco == sum(p == DISCO for _i, p in sends)


@given(st.binary(max_size=200))
def test_any_json_is_a_greeting_or_a_fault(text: bytes) -> None:
    for kind in (ClientInfo, ServerInfo):
        try:
            kind.from_json(text)
        except RelayError:
            continue


@given(
    st.binary(min_size=12, max_size=12),
    addresses,
    st.integers(0, 65535),
)
def test_stun_response_says_where_the_request_came_from(
    transaction: bytes, address: IPv4Address | IPv6Address, port: int
) -> None:
    reply = stun.respond(stun.encode_request(transaction), address, port)
    assert stun.parse_response(reply) == stun.Binding(transaction, address, port)


@given(
    st.one_of(
        st.binary(max_size=80),
        st.binary(max_size=60).map(lambda tail: stun.encode_request(bytes(12))[:20] + tail),
    )
)
def test_any_datagram_is_stun_or_is_refused(datagram: bytes) -> None:
    for parse in (stun.parse_request, stun.parse_response):
        try:
            parse(datagram)
        except stun.NotStunError:
            continue


@given(st.integers(0, 39), st.integers(0, 7))
def test_one_flipped_bit_silences_the_stun_server(at: int, bit: int) -> None:
    datagram = bytearray(stun.encode_request(b"abcdefghijkl"))
    datagram[at] ^= 1 << bit
    try:
        stun.parse_request(bytes(datagram))
    except stun.NotStunError:
        return
    raise AssertionError("a damaged request was taken for a good one")


@given(st.binary(max_size=200))
def test_any_bytes_are_an_http_head_or_a_fault(data: bytes) -> None:
    for parse in (parse_request_head, parse_response_head):
        try:
            parse(data + b"\r\n\r\n")
        except RelayError:
            continue


def test_slow_trickle_costs_no_copies_of_what_came_before() -> None:
    lab = Lab()
    wire = lab.join()
    frame = frames.encode(frames.SendPacket(wire.key, bytes(60_000)))
    wire.server.receive(frame[:10], lab.now)
    buffer = wire.server._tail
    for at in range(10, 1000, 10):
        wire.server.receive(frame[at : at + 10], lab.now)
    assert wire.server._tail is buffer
    assert drain(wire.server.outbox) == b""
