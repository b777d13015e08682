"""The listening side: turn surplus connections away before they cost a TLS handshake."""

from __future__ import annotations

import asyncio
import logging
import ssl
from ipaddress import IPv6Network
from typing import TYPE_CHECKING, cast

from relay.server.connection import HttpSniffer, peer_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.admission import AcceptGate
    from relay.frames import IpAddress
    from relay.server.hub import Hub

__all__ = ["GatedListener"]

log = logging.getLogger("relay")

TLS_HANDSHAKE_S = 10.0
IPV6_NETWORK_BITS = 64
"""Any host may choose its address out of such a network."""


class GatedListener:
    """Makes the protocol of each accepted connection; counts those not yet identified."""

    def __init__(
        self,
        hub: Hub,
        gate: AcceptGate,
        fallback: Callable[[], asyncio.Protocol],
        context: ssl.SSLContext | None,
        *,
        takes_derp: bool = True,
    ) -> None:
        """`takes_derp` is false for a port that serves pages and nothing else."""
        self.hub = hub
        self.gate = gate
        self._fallback = fallback
        self._context = context
        self._takes_derp = takes_derp

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol for a fresh connection, as `create_server` asks."""
        return _Arrival(self)

    def greet(self, transport: asyncio.Transport) -> None:
        """Look at a new connection: drop it, start TLS, or go straight to HTTP."""
        source = _origin(peer_of(transport)[0])
        if not self.gate.admit(source, self.hub.now()):
            self.hub.counters.accepts_refused += 1
            transport.abort()
            return
        sniffer = HttpSniffer(
            self.hub,
            self._fallback,
            _once(lambda: self.gate.release(source)),
            takes_derp=self._takes_derp,
        )
        if self._context is None:
            transport.set_protocol(sniffer)
            sniffer.connection_made(transport)
            return
        transport.pause_reading()
        self.hub.spawn(self._start_tls(transport, sniffer, self._context))

    async def _start_tls(
        self, transport: asyncio.Transport, sniffer: HttpSniffer, context: ssl.SSLContext
    ) -> None:
        loop = asyncio.get_running_loop()
        try:
            secured = await loop.start_tls(
                transport,
                sniffer,
                context,
                server_side=True,
                ssl_handshake_timeout=TLS_HANDSHAKE_S,
            )
        except (OSError, ssl.SSLError) as error:
            # Scanners do this all day; it is worth a line only to whoever looks for it.
            log.debug("TLS handshake failed: %s", error)
            sniffer.connection_lost(None)
            transport.abort()
            return
        if secured is None:
            sniffer.connection_lost(None)
            return
        sniffer.connection_made(secured)


def _origin(address: IpAddress) -> str:
    """Return what one host cannot change at will: its IPv4 address, or its IPv6 network."""
    if address.version == 4:
        return str(address)
    return str(IPv6Network((int(address), IPV6_NETWORK_BITS), strict=False))


class _Arrival(asyncio.Protocol):
    """Lives from accept to the gate's verdict."""

    def __init__(self, listener: GatedListener) -> None:
        self._listener = listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._listener.greet(cast("asyncio.Transport", transport))


def _once(action: Callable[[], None]) -> Callable[[], None]:
    pending = [action]

    def run() -> None:
        if pending:
            pending.pop()()

    return run
