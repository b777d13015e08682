"""Driver of `node.proxy.exchange`: a drop-in for asyncio's `create_connection`, through a proxy.

TLS runs inside the tunnel, so the proxy learns a host, a port and sizes. Where the proxy itself
wants TLS, there are two layers of it.
"""

from __future__ import annotations

import asyncio
import ssl as tls_module
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

from node.proxy.exchange import ConnectExchange
from node.proxy.settings import ProxyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.proxy.settings import WebProxy

__all__ = ["Through", "connect"]

_P = TypeVar("_P", bound=asyncio.Protocol)


@dataclass(frozen=True, slots=True)
class Through:
    """Connects through one proxy."""

    proxy: WebProxy

    async def __call__(
        self,
        factory: Callable[[], _P],
        host: str,
        port: int,
        *,
        ssl: tls_module.SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> tuple[asyncio.Transport, _P]:
        """Connect as asyncio's `create_connection` does. Raises ProxyError and other OSErrors.

        Takes as long as it takes: whoever waits says for how long.
        """
        exchange = ConnectExchange(self.proxy, host, port)
        tunnel = await self._reach_proxy(exchange)
        try:
            await tunnel.opened
            return await tunnel.hand_over(factory(), ssl, server_hostname or host)
        except BaseException:
            tunnel.abort()
            raise

    async def _reach_proxy(self, exchange: ConnectExchange) -> _Tunnel:
        proxy = self.proxy
        try:
            _, tunnel = await asyncio.get_running_loop().create_connection(
                lambda: _Tunnel(proxy, exchange),
                proxy.host,
                proxy.port,
                ssl=tls_module.create_default_context() if proxy.is_secure else None,
            )
        except (OSError, UnicodeError) as error:
            raise ProxyError(f"{proxy} cannot be reached: {error}") from error
        return tunnel


async def connect(
    proxy: WebProxy | None,
    factory: Callable[[], _P],
    host: str,
    port: int,
    *,
    ssl: tls_module.SSLContext | None = None,
) -> tuple[asyncio.Transport, _P]:
    """Connect through a proxy, or past all of them where there is none."""
    if proxy is not None:
        return await Through(proxy)(factory, host, port, ssl=ssl)
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(factory, host, port, ssl=ssl)
    return transport, protocol


class _Tunnel(asyncio.Protocol):
    """Stands in for the protocol inside until the tunnel is open and TLS is through."""

    def __init__(self, proxy: WebProxy, exchange: ConnectExchange) -> None:
        self._proxy = proxy
        self._exchange = exchange
        self._transport: asyncio.Transport | None = None
        self._early = b""
        self._is_lost = False
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._exchange.request)

    def data_received(self, data: bytes) -> None:
        if self.opened.done():
            self._early += data
            return
        try:
            if self._exchange.receive(data):
                self.opened.set_result(None)
        except ProxyError as error:
            self._fail(error)
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        if not self.opened.done():
            detail = f": {exc}" if exc else ""
            self._fail(ProxyError(f"{self._proxy} hung up on us{detail}"))

    def _fail(self, error: ProxyError) -> None:
        self.opened.set_exception(error)
        # Who waited may have given up; that is no reason for a complaint.
        self.opened.exception()

    async def hand_over(
        self, protocol: _P, ssl: tls_module.SSLContext | None, server_hostname: str
    ) -> tuple[asyncio.Transport, _P]:
        """Start TLS inside the tunnel if there is a context, and let the protocol take over."""
        transport = self._transport
        if transport is None:
            raise ProxyError(f"{self._proxy} hung up on us")
        if ssl is not None:
            if self._early:
                raise ProxyError(f"{self._proxy} speaks where {server_hostname} should")
            # Not with the protocol itself: asyncio would give it data before a transport.
            loop = asyncio.get_running_loop()
            secured = await loop.start_tls(transport, self, ssl, server_hostname=server_hostname)
            if secured is None:
                raise ProxyError(f"{self._proxy} hung up on us")
            transport = self._transport = secured
        if self._is_lost:
            raise ProxyError(f"{self._proxy} hung up on us")
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._early:
            protocol.data_received(self._early)
        return transport, protocol

    def abort(self) -> None:
        """Leave at once."""
        if self._transport is not None:
            self._transport.abort()
