"""The server's end: bounds, flow control, and streams that the peer gives up."""

from __future__ import annotations

import pytest

from control.channel.machine import MAX_BODY_BYTES, StreamEnded
from node.session import channel as client_channel
from tests.property.control.test_channel import Pair


def connected() -> Pair:
    pair = Pair()
    pair.pump([4096])
    return pair


def test_body_up_to_the_limit_is_taken_window_by_window() -> None:
    pair = connected()
    # More than the server's window for a stream, together with what is before it.
    pair.ask(b"{}")
    asked = pair.ask(bytes(MAX_BODY_BYTES))
    pair.pump([1 << 16])
    assert [len(request.body) for request in pair.asked] == [2, MAX_BODY_BYTES]
    assert asked in pair.ended


def test_longer_body_is_refused_and_the_connection_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_channel, "MAX_BODY_BYTES", 2 * MAX_BODY_BYTES)
    pair = connected()
    refused = pair.ask(bytes(MAX_BODY_BYTES + 1))
    pair.pump([1 << 16])
    assert (pair.asked, pair.statuses[refused]) == ([], 413)
    fine = pair.ask(b"{}")
    pair.pump([1 << 16])
    assert len(pair.asked) == 1
    assert fine in pair.ended


def test_node_does_not_send_what_no_server_takes() -> None:
    pair = connected()
    with pytest.raises(client_channel.ChannelError, match="no control server takes it"):
        pair.client.request("POST", "/machine/map", bytes(MAX_BODY_BYTES + 1))


def test_unfinished_requests_of_a_connection_are_bounded_together() -> None:
    pair = connected()
    http = pair.client._http
    head = [(":method", "POST"), (":scheme", "https"), (":authority", "x"), (":path", "/")]
    streams = []
    for _ in range(6):
        stream = http.get_next_available_stream_id()
        streams.append(stream)
        http.send_headers(stream, head)
        for _ in range(MAX_BODY_BYTES // (1 << 14) - 1):
            if stream in pair.statuses:
                break
            http.send_data(stream, bytes(1 << 14))
            pair.to_server += pair.client.transmit()
            pair.pump([1 << 16])
    assert [pair.statuses.get(stream) for stream in streams] == [None] * 4 + [413] * 2
    assert pair.asked == []


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
