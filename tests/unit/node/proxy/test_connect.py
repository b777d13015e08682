"""Tunnels through a real proxy on loopback, with TLS inside."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from node.proxy.connect import connect
from node.proxy.settings import ProxyError, WebProxy
from relay.server.tls import client_context, self_signed, server_context
from tests.support.connect_proxy import HOST, ConnectProxy, running_proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NAME = "relay.example"
TARGET = f"{NAME}:443"


class Caller(asyncio.Protocol):
    """Says hello and keeps what comes back."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.heard = bytearray()
        self.echoed = asyncio.Event()
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.calls.append("made")
        self.transport = transport
        transport.write(b"hello")

    def data_received(self, data: bytes) -> None:
        self.calls.append("data")
        self.heard += data
        if self.heard.endswith(b"hello"):
            self.echoed.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  of asyncio
        self.calls.append("lost")
        self.lost.set()


@asynccontextmanager
async def echo(
    tls: ssl.SSLContext | None = None, *, first: bytes = b""
) -> AsyncIterator[tuple[str, int]]:
    """Run a server that says something and then repeats what it hears."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0, ssl=tls)
    async with server:
        yield HOST, server.sockets[0].getsockname()[1]


def tls_pair(name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return contexts of a server and of a client that trusts it."""
    certificate, key, _ = self_signed(name, datetime.now(UTC))
    return server_context(certificate, key, None), client_context(authorities=certificate.decode())


def by_way_of(proxy: ConnectProxy, credentials: str = "", scheme: str = "http") -> WebProxy:
    return WebProxy.parse(proxy.url(credentials, scheme), "HTTPS_PROXY")


async def call(proxy: WebProxy | None, tls: ssl.SSLContext | None = None) -> Caller:
    async with asyncio.timeout(10):
        _, caller = await connect(proxy, Caller, NAME, 443, ssl=tls)
        await caller.echoed.wait()
        caller.transport.close()
        await caller.lost.wait()
    return caller


async def test_tls_runs_inside_and_verifies_the_host_and_not_the_proxy() -> None:
    serving, trusting = tls_pair(NAME)
    async with echo(serving) as place, running_proxy(ConnectProxy({TARGET: place})) as proxy:
        caller = await call(by_way_of(proxy), trusting)
        secured = caller.transport.get_extra_info("ssl_object")
    assert caller.calls[0] == "made"
    assert caller.calls[-1] == "lost"
    assert secured.server_hostname == NAME
    assert proxy.targets == [TARGET]


async def test_server_that_speaks_first_inside_tls_is_heard_after_the_connection() -> None:
    serving, trusting = tls_pair(NAME)
    async with (
        echo(serving, first=b"welcome ") as place,
        running_proxy(ConnectProxy({TARGET: place})) as proxy,
    ):
        caller = await call(by_way_of(proxy), trusting)
    assert caller.calls[0] == "made"
    assert bytes(caller.heard) == b"welcome hello"


async def test_certificate_for_another_host_ends_it() -> None:
    serving, trusting = tls_pair("other.example")
    async with echo(serving) as place, running_proxy(ConnectProxy({TARGET: place})) as proxy:
        with pytest.raises(ssl.SSLCertVerificationError):
            await call(by_way_of(proxy), trusting)


async def test_tunnel_without_tls_inside() -> None:
    async with echo() as place, running_proxy(ConnectProxy({TARGET: place})) as proxy:
        assert bytes((await call(by_way_of(proxy))).heard) == b"hello"


async def test_proxy_with_credentials() -> None:
    async with (
        echo() as place,
        running_proxy(ConnectProxy({TARGET: place}, credentials="ann:p@ss")) as proxy,
    ):
        assert bytes((await call(by_way_of(proxy, "ann:p%40ss"))).heard) == b"hello"
        with pytest.raises(ProxyError, match="USER:PASSWORD@HOST:PORT"):
            await call(by_way_of(proxy))
        with pytest.raises(ProxyError, match="does not take") as caught:
            await call(by_way_of(proxy, "ann:wrong"))
    assert "wrong" not in str(caught.value)


async def test_proxy_that_wants_tls_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serving, trusting = tls_pair(NAME)
    certificate, key, _ = self_signed(HOST, datetime.now(UTC))
    authorities = tmp_path / "authorities.pem"
    authorities.write_bytes(certificate)
    # The proxy is verified with what the host trusts, which OpenSSL lets this variable say.
    monkeypatch.setenv("SSL_CERT_FILE", str(authorities))
    async with (
        echo(serving) as place,
        running_proxy(
            ConnectProxy({TARGET: place}), server_context(certificate, key, None)
        ) as proxy,
    ):
        caller = await call(by_way_of(proxy, scheme="https"), trusting)
    assert bytes(caller.heard) == b"hello"


async def test_proxy_whose_certificate_nobody_trusts_hears_nothing() -> None:
    certificate, key, _ = self_signed(HOST, datetime.now(UTC))
    async with running_proxy(ConnectProxy(), server_context(certificate, key, None)) as proxy:
        with pytest.raises(ProxyError, match=r"cannot be reached.*certificate"):
            await call(by_way_of(proxy, "ann:secret", scheme="https"))
    assert proxy.targets == []


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        (ConnectProxy(), "403 Forbidden.*allow CONNECT to relay.example:443"),
        (ConnectProxy(answer=b"HTTP/1.1 200 OK\r\n"), "hung up"),
        (ConnectProxy(answer=b"HTTP/1.1 200 OK\r\n\r\nbanner"), "nobody asked for"),
    ],
)
async def test_proxy_that_does_not_let_us_through(proxy: ConnectProxy, words: str) -> None:
    async with running_proxy(proxy):
        with pytest.raises(ProxyError, match=words):
            await call(by_way_of(proxy))


async def test_proxy_that_is_not_there() -> None:
    async with running_proxy(ConnectProxy()) as proxy:
        gone = by_way_of(proxy)
    with pytest.raises(ProxyError, match=r"127.0.0.1:\d+ of HTTPS_PROXY cannot be reached"):
        await call(gone)


async def test_waiting_that_is_given_up_closes_the_connection() -> None:
    asked, ended = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(4096):
                asked.set()
        except ConnectionError:
            pass
        ended.set()
        writer.close()

    server = await asyncio.start_server(silent, HOST, 0)
    async with server:
        proxy = WebProxy(HOST, server.sockets[0].getsockname()[1], "HTTPS_PROXY")
        calling = asyncio.create_task(call(proxy))
        await asked.wait()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        async with asyncio.timeout(5):
            await ended.wait()
