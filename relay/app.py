"""A relay put together: listeners, STUN, mesh links, admission. Runs alone or inside control.

Alone: `async with Relay(config, admission): …`. Inside another server: the host keeps its own
listener and asks `first_protocol` about every connection, or `listener_factory` about all of them;
`pages.derp_routes()` are the HTTP endpoints a relay must answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from aiohttp import web

from relay.admission import AcceptGate
from relay.counters import Counters
from relay.dial import DialError, RelayAddress, dial
from relay.handshake import ServerInfo
from relay.mesh import RECONNECT_S, MeshLink
from relay.ratelimit import RateLimit
from relay.server.connection import Host, HttpSniffer
from relay.server.gate import GatedListener
from relay.server.hub import Hub
from relay.server.pages import Pages, build_application, build_portal_application
from relay.server.stun_socket import open_stun
from relay.session_client import ClientOptions
from relay.welcome import WRITE_TIMEOUT_S, ServerIdentity

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from types import TracebackType

    from control.keys import MeshKey, NodePrivate
    from relay.admission import Admission

__all__ = ["Host", "Relay", "RelayConfig"]

log = logging.getLogger("relay")

NO_LIMIT = RateLimit(0, 0)
LEAVING_S = 1.0
"""So long a relay that stops waits for connections that nobody here can end."""
HTTP_IDLE_S = 30.0
"""After an answer, whoever does not ask again within this is not kept."""


@dataclass(frozen=True, slots=True)
class RelayConfig:
    """What an operator decides. Addresses are `(host, port)`; port 0 takes any free one."""

    private: NodePrivate
    listen: tuple[str, int] | None = ("", 443)
    """None inside a host that listens itself."""
    plain_http: tuple[str, int] | None = None
    """A second listener without TLS, for captive-portal checks."""
    stun: tuple[tuple[str, int], ...] = ()
    """UDP addresses; an empty host means both families."""
    tls: ssl.SSLContext | None = None
    mesh_key: MeshKey | None = None
    mesh_with: tuple[RelayAddress, ...] = ()
    rate: RateLimit = NO_LIMIT
    accept_rate: RateLimit = NO_LIMIT
    write_timeout_s: float = WRITE_TIMEOUT_S
    recheck_s: float = 300.0
    """How often connected clients are asked about again; 0 never."""
    home: str = ""
    bootstrap_names: dict[str, list[str]] = field(default_factory=dict)


class Relay:
    """One running relay."""

    def __init__(self, config: RelayConfig, admission: Admission) -> None:
        self._config = config
        identity = ServerIdentity(
            config.private,
            os.urandom,
            mesh_key=config.mesh_key,
            info=ServerInfo(),
            write_timeout_s=config.write_timeout_s,
            rate=config.rate,
        )
        self.hub = Hub(identity, Counters(), admission)
        self.pages = Pages(self.hub, config.home, config.bootstrap_names)
        self._runners: list[web.AppRunner] = []
        self._servers: list[asyncio.Server] = []

    @property
    def public_key(self) -> bytes:
        """The relay's own key, 32 raw bytes."""
        return self.hub.identity.public

    @property
    def ports(self) -> list[int]:
        """TCP ports in the order of the listeners: DERP, then plain HTTP."""
        return [server.sockets[0].getsockname()[1] for server in self._servers]

    @property
    def stun_ports(self) -> list[int]:
        """UDP ports in the order of the configuration, one of each socket."""
        return [socket.port for socket in self.pages.stun_sockets]

    async def __aenter__(self) -> Self:
        """Start everything; on failure nothing is left open."""
        try:
            await self._start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop everything at once; see `drain` for the gentle way."""
        await self.close()

    async def _start(self) -> None:
        config = self._config
        if config.listen is not None:
            pages = await self._http_server(build_application(self.pages))
            await self._listen(config.listen, self.listener_factory(pages, config.tls))
        if config.plain_http is not None:
            # Without TLS there are no secrets to serve, and no DERP: keys and sizes are nobody's.
            portal = await self._http_server(build_portal_application(self.pages))
            gate = AcceptGate(config.accept_rate, now=self.hub.now())
            listener = GatedListener(self.hub, gate, portal, None, takes_derp=False)
            await self._listen(config.plain_http, listener)
        for host, port in config.stun:
            self.pages.stun_sockets += await open_stun(host, port)
        self.start_timers()

    async def _http_server(self, application: web.Application) -> Callable[[], asyncio.Protocol]:
        runner = web.AppRunner(application, access_log=None, keepalive_timeout=HTTP_IDLE_S)
        self._runners.append(runner)
        await runner.setup()
        if runner.server is None:
            raise RuntimeError("aiohttp made no server")
        return runner.server

    async def _listen(
        self, address: tuple[str, int], factory: Callable[[], asyncio.Protocol]
    ) -> None:
        loop = asyncio.get_running_loop()
        # Sharing the port lets a successor start before this server has moved its clients.
        server = await loop.create_server(
            factory, address[0] or None, address[1], reuse_port=True, backlog=1024
        )
        self._servers.append(server)

    def listener_factory(
        self, fallback: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None
    ) -> Callable[[], asyncio.Protocol]:
        """Return a protocol factory that takes DERP upgrades and leaves the rest to `fallback`."""
        gate = AcceptGate(self._config.accept_rate, now=self.hub.now())
        return GatedListener(self.hub, gate, fallback, tls)

    def first_protocol(
        self, fallback: Callable[[], asyncio.Protocol], host: Host
    ) -> asyncio.Protocol:
        """Return what looks at one connection of a host that counts and secures them itself.

        It takes DERP upgrades; anything else goes, from its first byte on, to `fallback`.
        """
        return HttpSniffer(self.hub, fallback, host=host)

    def start_timers(self) -> None:
        """Start what runs beside the listeners; a host without our listeners calls this itself."""
        self.hub.spawn(self.hub.sweep_forever())
        self.hub.spawn(self.hub.sample_forever())
        if self._config.recheck_s:
            self.hub.spawn(self.hub.recheck_forever(self._config.recheck_s))
        for address in self._config.mesh_with:
            self.hub.spawn(self._keep_mesh_link(address))

    async def _keep_mesh_link(self, address: RelayAddress) -> None:
        while True:
            try:
                await self._run_mesh_link(address)
            except DialError as error:
                if error.server_key == self.public_key:
                    log.warning("mesh address %s is this relay; not dialling it", address.host)
                    return
                log.warning("mesh link: %s", error)
            await asyncio.sleep(RECONNECT_S)

    async def _run_mesh_link(self, address: RelayAddress) -> None:
        """Hold one mesh link until it ends. Raises DialError."""
        identity = self.hub.identity
        link = MeshLink(self.hub.router, identity.public)
        options = ClientOptions(mesh_key=identity.mesh_key)
        client = await dial(address, identity.private, link.hear, options)
        try:
            link.start(client.session)
            detail = await client.closed
            log.warning("mesh link to %s ended: %s", address.host, detail)
        finally:
            client.close()

    def close_client(self, key: bytes) -> int:
        """Close every connection of a node key, as when control removes the node."""
        return self.hub.router.close_peer(key)

    async def drain(self, within_s: float) -> None:
        """Stop listening, then move clients away one after the other."""
        for server in self._servers:
            server.close()
        await self.hub.move_clients(within_s)

    async def close(self) -> None:
        """Stop everything now."""
        for server in self._servers:
            server.close()
        for socket in self.pages.stun_sockets:
            socket.close()
        self.pages.stun_sockets.clear()
        await self.hub.close()
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()
        with contextlib.suppress(TimeoutError):
            # From Python 3.12 on this waits for every connection, also for one that never spoke.
            async with asyncio.timeout(LEAVING_S):
                for server in self._servers:
                    await server.wait_closed()
        self._servers.clear()
