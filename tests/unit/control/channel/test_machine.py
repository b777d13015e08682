"""The server's end: bounds, flow control, and streams that the peer gives up."""

from __future__ import annotations

from control.channel.machine import MAX_BODY_BYTES, StreamEnded
from tests.property.control.test_channel import Pair


def connected() -> Pair:
    pair = Pair()
    pair.pump([4096])
    return pair


def test_body_up_to_the_limit_is_taken() -> None:
    pair = connected()
    refused = pair.client.request("POST", "/machine/map", bytes(MAX_BODY_BYTES - 10))
    pair.to_server += pair.client.transmit()
    pair.pump([1 << 16])
    assert len(pair.asked) == 1
    assert refused in pair.ended


def test_stream_that_the_node_cancels_is_reported_once() -> None:
    pair = connected()
    stream = pair.client.request("POST", "/machine/map", b"{}")
    for event in pair.server.receive(pair.client.transmit()):
        pair.server.start(event.stream, 200)
    pair.client.cancel(stream)
    ended = pair.server.receive(pair.client.transmit())
    assert ended == [StreamEnded(stream)]
    assert not pair.server.is_open(stream)


def test_what_the_node_has_no_window_for_waits() -> None:
    pair = connected()
    pair.client.request("POST", "/machine/map", b"{}")
    (event,) = pair.server.receive(pair.client.transmit())
    pair.server.start(event.stream, 200)
    pair.server.send(event.stream, bytes(5 << 20))
    waiting = pair.server.buffered(event.stream)
    pair.server.finish(event.stream)
    assert 0 < waiting <= 5 << 20
    pair.to_client += pair.server.transmit()
    pair.pump([1 << 16])
    assert len(pair.bodies[event.stream]) == 5 << 20
    assert event.stream in pair.ended


def test_broken_off_response_is_not_complete() -> None:
    pair = connected()
    pair.client.request("POST", "/machine/map", b"{}")
    (event,) = pair.server.receive(pair.client.transmit())
    pair.server.start(event.stream, 200)
    pair.server.send(event.stream, b"half")
    pair.server.abort(event.stream)
    pair.to_client += pair.server.transmit()
    pair.pump([4096])
    assert event.stream not in pair.ended


def test_answering_a_stream_that_is_gone_does_nothing() -> None:
    pair = connected()
    pair.server.start(99, 200)
    pair.server.send(99, b"x")
    pair.server.finish(99)
    pair.server.abort(99)
    assert pair.server.transmit() == b""


def test_both_ends_know_each_other() -> None:
    pair = connected()
    assert pair.client.is_established
    assert pair.client.early_payload is not None
    assert pair.server.version == 113
