"""The client session: HTTP, fast start, timers, advisory rate."""

from __future__ import annotations

import pytest

from control.keys import NodePrivate
from relay import frames
from relay.errors import Fault, UsageError
from relay.handshake import ServerInfo, greeting_box, seal_greeting
from relay.outbox import QUEUE_DEPTH
from relay.session_client import (
    CONNECT_S,
    READ_TIMEOUT_S,
    ClientOptions,
    ClientSession,
    Disconnected,
    Phase,
    RelayReady,
)
from relay.upgrade import encode_switching, parse_request_head
from tests.support.relay_pair import Lab, SeededEntropy, drain

ENTROPY = SeededEntropy(7)
SERVER_PRIVATE = NodePrivate.generate(ENTROPY)
SERVER = SERVER_PRIVATE.public
NODE = NodePrivate.generate(ENTROPY)


def client(options: ClientOptions) -> ClientSession:
    return ClientSession(NODE, options, entropy=ENTROPY, now=0)


def welcome(info: ServerInfo | None = None) -> bytes:
    sealed = seal_greeting(
        info or ServerInfo(), greeting_box(SERVER_PRIVATE, NODE.public.raw), ENTROPY
    )
    return frames.encode(frames.ServerKey(SERVER.raw)) + frames.encode(
        frames.ServerInfoFrame(sealed)
    )


def test_plain_start_waits_for_101_and_keeps_what_follows_it() -> None:
    session = client(ClientOptions(host="relay.example"))
    head = parse_request_head(drain(session.outbox))
    assert head is not None
    assert not head.has_fast_start
    session.receive(encode_switching(SERVER.raw) + welcome(), 0)
    assert session.next_event() == RelayReady(SERVER.raw, ServerInfo())


def test_fast_start_sends_the_greeting_with_the_request() -> None:
    session = client(ClientOptions(host="relay.example", known_server_key=SERVER.raw))
    out = drain(session.outbox)
    head = parse_request_head(out)
    assert head is not None
    assert head.has_fast_start
    assert out[head.length_bytes] == frames.FrameType.CLIENT_INFO
    session.receive(welcome(), 0)
    assert session.phase is Phase.OPEN


def test_fast_start_refuses_another_server() -> None:
    other = NodePrivate.generate(ENTROPY).public.raw
    session = client(ClientOptions(host="relay.example", known_server_key=other))
    session.receive(welcome(), 0)
    assert session.next_event() == Disconnected(
        Fault.BAD_BOX, "server key differs from the one promised"
    )


def test_refusal_by_http_is_told() -> None:
    session = client(ClientOptions(host="relay.example"))
    session.receive(b"HTTP/1.1 404 Not Found\r\n\r\n", 0)
    event = session.next_event()
    assert isinstance(event, Disconnected)
    assert "404" in event.detail


def test_greeting_only_after_the_server_key() -> None:
    session = client(ClientOptions())
    assert drain(session.outbox) == b""
    session.receive(frames.encode(frames.ServerKey(SERVER.raw)), 0)
    assert drain(session.outbox)[0] == frames.FrameType.CLIENT_INFO


def test_ping_is_answered() -> None:
    session = client(ClientOptions())
    session.receive(welcome(), 0)
    drain(session.outbox)
    session.receive(frames.encode(frames.Ping(b"12345678")), 0)
    assert drain(session.outbox) == frames.encode(frames.Pong(b"12345678"))


def test_connecting_has_a_budget() -> None:
    session = client(ClientOptions(host="relay.example"))
    assert session.deadline() == CONNECT_S
    session.on_deadline(CONNECT_S)
    event = session.next_event()
    assert isinstance(event, Disconnected)
    assert event.fault is Fault.HANDSHAKE_TIMEOUT


def test_silence_of_two_keepalives_ends_the_session() -> None:
    session = client(ClientOptions())
    session.receive(welcome(), 5)
    session.next_event()
    session.receive(frames.encode(frames.KeepAlive()), 60)
    assert session.deadline() == 60 + READ_TIMEOUT_S
    session.on_deadline(60 + READ_TIMEOUT_S)
    event = session.next_event()
    assert isinstance(event, Disconnected)
    assert event.fault is Fault.READ_TIMEOUT


def test_advertised_rate_is_kept() -> None:
    session = client(ClientOptions())
    session.receive(welcome(ServerInfo(bytes_per_second=100, burst_bytes=200)), 0)
    cost = frames.HEADER_BYTES + frames.KEY_BYTES
    assert session.send_packet(bytes(32), bytes(150 - cost), 0)
    assert not session.send_packet(bytes(32), bytes(150 - cost), 0)
    assert session.send_packet(bytes(32), bytes(150 - cost), 1.0)


@pytest.mark.parametrize("burst", [b"aaabbbc", b"aaabbb", b"aaa"])
def test_burst_goes_out_as_the_frames_of_its_packets(burst: bytes) -> None:
    session = client(ClientOptions())
    session.receive(welcome(), 0)
    session.outbox.take()
    assert session.send_burst(bytes(32), burst, 3, 0) == 0
    packets = [burst[at : at + 3] for at in range(0, len(burst), 3)]
    wanted = [frames.encode(frames.SendPacket(bytes(32), packet)) for packet in packets]
    assert session.outbox.take() == [b"".join(wanted)]
    assert session.counters.packets_sent == len(packets)


def test_burst_waits_packet_by_packet_for_a_relay_that_does_not_read() -> None:
    session = client(ClientOptions())
    session.receive(welcome(), 0)
    session.outbox.take()
    session.pause_writing()
    session.send_burst(bytes(32), bytes(QUEUE_DEPTH + 1), 1, 0)
    assert session.outbox.take() == []
    session.resume_writing(1)
    assert len(session.outbox.take()) == QUEUE_DEPTH


def test_burst_keeps_the_advertised_rate() -> None:
    session = client(ClientOptions())
    session.receive(welcome(ServerInfo(bytes_per_second=100, burst_bytes=200)), 0)
    cost = frames.HEADER_BYTES + frames.KEY_BYTES
    assert session.send_burst(bytes(32), bytes(3 * (100 - cost)), 100 - cost, 0) == 1


def test_nothing_can_be_sent_before_the_welcome() -> None:
    session = client(ClientOptions())
    with pytest.raises(UsageError):
        session.send_packet(bytes(32), b"x", 0)


def test_oversized_packet_is_our_own_mistake() -> None:
    lab = Lab()
    wire = lab.join()
    with pytest.raises(UsageError):
        wire.client.send_packet(bytes(32), bytes(frames.MAX_PACKET_BYTES + 1), 0)


def test_unknown_frames_are_skipped() -> None:
    session = client(ClientOptions())
    session.receive(welcome() + frames.pack_frame(0x7F, b"future") + frames.pack_frame(6), 0)
    assert session.phase is Phase.OPEN


def test_frame_of_more_than_a_mebibyte_is_fatal() -> None:
    session = client(ClientOptions())
    session.receive(welcome() + b"\x7f\x00\x10\x00\x01", 0)
    assert session.phase is Phase.CLOSED
