"""The driver: idle and broken connections end, requests' faults stay their own."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from control.channel import driver
from control.channel.driver import ChannelProtocol
from control.channel.responses import ChannelRequest, ChannelResponse, ResponseStream
from tests.property.control.test_channel import Pair

if TYPE_CHECKING:
    from collections.abc import Callable


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self, **extra: Any) -> None:
        super().__init__(extra)
        self.written = b""
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, **_limits: Any) -> None:  # type: ignore[override]  # unused
        return

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True


async def answer(request: ChannelRequest, stream: ResponseStream) -> ChannelResponse | None:
    match request.path:
        case "/fails":
            raise RuntimeError
        case "/routes":
            stream.start(200)
            stream.watch()
            return None
        case "/breaks":
            stream.start(200)
            await stream.send(b"half")
            raise RuntimeError
        case _:
            return ChannelResponse.text(200, f"{request.path} {request.query}")


@pytest.fixture
def ready() -> Callable[[], tuple[Pair, Wire, ChannelProtocol]]:
    def make() -> tuple[Pair, Wire, ChannelProtocol]:
        pair = Pair()
        pair.pump([4096])
        wire = Wire()
        protocol = ChannelProtocol(pair.server, answer, "192.0.2.1", lambda _: None)
        protocol.adopt(wire, b"")
        return pair, wire, protocol

    return make


async def exchange(pair: Pair, wire: Wire, protocol: ChannelProtocol, path: str) -> int:
    stream = pair.client.request("POST", path, b"{}")
    protocol.data_received(pair.client.transmit())
    # The request's task runs between these; it awaits nothing that takes time.
    for _ in range(10):
        await asyncio.sleep(0)
    data, wire.written = wire.written, b""
    pair.feed_client(data)
    return stream


async def test_request_is_answered_with_its_query(ready: Any) -> None:
    pair, wire, protocol = ready()
    stream = await exchange(pair, wire, protocol, "/machine/x?a=1&b=")
    assert pair.bodies[stream] == b"/machine/x {'a': '1', 'b': ''}"


async def test_fault_of_one_request_leaves_the_others(ready: Any) -> None:
    pair, wire, protocol = ready()
    failed = await exchange(pair, wire, protocol, "/fails")
    fine = await exchange(pair, wire, protocol, "/fine")
    assert b"internal error" in pair.bodies[failed]
    assert b"RuntimeError" not in pair.bodies[failed]
    assert fine in pair.ended


async def test_response_that_breaks_half_way_is_not_ended(ready: Any) -> None:
    pair, wire, protocol = ready()
    stream = await exchange(pair, wire, protocol, "/breaks")
    assert stream not in pair.ended
    assert not wire.is_closed


async def test_kernel_watches_closely_only_where_that_was_asked_for() -> None:
    with socket.socket() as sock:
        pair, wire = Pair(), Wire(socket=sock)
        pair.pump([4096])
        protocol = ChannelProtocol(pair.server, answer, "192.0.2.1", lambda _: None)
        protocol.adopt(wire, b"")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 120_000
        await exchange(pair, wire, protocol, "/routes")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        lost_ms = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert lost_ms == driver.WATCHED_LOST_S * 1000
        idle_s = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        assert idle_s == driver.WATCHED_IDLE_S


async def test_damaged_bytes_close_the_connection(ready: Any) -> None:
    _, wire, protocol = ready()
    protocol.data_received(b"\x03\x00\x10")
    assert wire.is_closed


async def test_connection_without_requests_is_closed_in_the_end(
    ready: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "IDLE_S", 0.0)
    _, wire, _ = ready()
    async with asyncio.timeout(60):
        while not wire.is_closed:  # noqa: ASYNC110  the transport has no event
            await asyncio.sleep(0)


async def test_lost_connection_cancels_its_requests(ready: Any) -> None:
    _, _, protocol = ready()
    protocol.connection_lost(None)
    async with asyncio.timeout(60):
        await protocol.closed


async def test_client_that_takes_nothing_is_cut_off(
    ready: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "STALL_S", 0.0)
    _, wire, protocol = ready()
    protocol.pause_writing()
    with pytest.raises(ConnectionResetError, match="takes nothing"):
        await protocol.drained(1)
    assert wire.is_closed
