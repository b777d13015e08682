"""Composition root of the agent: wires state, session, tunnel and connectivity. Decides little.

control session ──netmap──► desired ──► tunnel (packet path, host network)
      ▲                        │
      │ endpoints, home        └──────► connectivity (relays, netcheck)
      └──────────────────────────────────────┘
"""

from __future__ import annotations

import asyncio
import logging
import platform
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engine.rules import MalformedRuleError
from node.agent import loop_calls
from node.agent.attachment import Attachment
from node.agent.control_session import ControlSession
from node.agent.health import health_lines
from node.agent.host_description import describe, distribution
from node.agent.memory import Memory
from node.agent.pings import Pings
from node.agent.standing import Standing
from node.agent.status import BackendState, Snapshot
from node.agent.trust import trust
from node.datapath.tun import TunError
from node.dns.resolv_conf import recover
from node.hostnet.host import HostNetworkError
from node.paths.news import EndpointsWanted, PathChanged, PathNews, PingAnswered
from node.proxy.settings import DIRECT, ProxySettings
from node.session.driver import ControlLostError, ControlRefusedError, ControlUrl
from node.state.directory import StateError
from node.state.preferences import PreferencesError
from node.transport.udp import TransportError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from control.keys import NodePrivate
    from control.wire import Hostinfo, ReachResponse
    from node.agent.connectivity import Connectivity
    from node.agent.control_session import SessionState
    from node.agent.desired import Desired
    from node.agent.mesh_transport import RelaySend
    from node.agent.tunnel import Tunnel
    from node.netmap.fold import NetMapChange
    from node.netmap.netmap import NetMap
    from node.paths.netcheck.report import Report
    from node.paths.news import BookEvent
    from node.state.directory import StateDirectory
    from node.state.preferences import Preferences

__all__ = ["Agent", "AgentOptions", "own_version"]

LOG = logging.getLogger("postern.agent")
_REVIEW_S: Final = 1.0


def own_version() -> str:
    """Return the installed version."""
    try:
        return version("postern")
    except PackageNotFoundError:
        return "unknown"


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """How to run an agent, beside what users prefer."""

    interface: str = "postern0"
    port: int = 41641
    maps_port: bool = True
    """Whether to ask the router to forward our port."""
    guesses_ports: bool = False
    """Whether to guess ports with peers where one of us is behind a hard NAT."""
    resolv_conf: Path = Path("/etc/resolv.conf")
    proxies: ProxySettings = DIRECT
    """Web proxies in the way to control server and relays."""


class Agent:
    """One node. Its methods are the verbs of the local API; all run in one event loop."""

    def __init__(self, directory: StateDirectory, options: AgentOptions) -> None:
        """Read the state. Raises StateError or PreferencesError."""
        self._options = options
        self._memory = Memory(directory)
        self._standing = Standing()
        self._loop = asyncio.get_running_loop()
        self._session: ControlSession | None = None
        self._session_task: asyncio.Task[None] | None = None
        self._attachment: Attachment | None = None
        self._attaching = asyncio.Lock()
        self._apply_wanted = asyncio.Event()
        self._directory = directory
        self._health_logged: frozenset[str] = frozenset()
        self._pings = Pings()

    @property
    def preferences(self) -> Preferences:
        """What the user prefers."""
        return self._memory.preferences

    @property
    def netmap(self) -> NetMap | None:
        """The netmap in force, of this run or the last."""
        return self._memory.netmap

    @property
    def login_error(self) -> str:
        """Why the login failed, empty if it did not."""
        return self._standing.login_error

    @property
    def tunnel(self) -> Tunnel | None:
        """The tunnel while there is one."""
        return self._attachment.tunnel if self._attachment is not None else None

    @property
    def connectivity(self) -> Connectivity | None:
        """What keeps the node reachable, while there is a tunnel."""
        return self._attachment.connectivity if self._attachment is not None else None

    @property
    def applied(self) -> Desired | None:
        """What was made so last."""
        return self._attachment.applied if self._attachment is not None else None

    # Life.

    async def run(self, stop: asyncio.Event) -> None:
        """Run until told to stop; then take everything down."""
        self._memory.save()
        self._recover_resolver()
        self._memory.restore_netmap()
        self._apply_wanted.set()
        await self._follow_preferences()
        applying = asyncio.create_task(self._keep_applied(), name="apply")
        try:
            waiting = asyncio.create_task(stop.wait(), name="stop")
            await asyncio.wait({waiting, applying}, return_when=asyncio.FIRST_COMPLETED)
            if applying.done():
                await applying
        finally:
            applying.cancel()
            await asyncio.gather(applying, return_exceptions=True)
            if self.preferences.is_ephemeral and self._memory.identity.is_registered:
                await self._log_out_quietly()
            await self._end_session()
            await self._detach()
            self._memory.write_netmap(self._loop.time())

    def _recover_resolver(self) -> None:
        """Give the host its resolver back if a run before this one crashed."""
        try:
            recovered = recover(self._directory)
        except (OSError, StateError) as error:
            self._standing.note("names", f"the host's resolver could not be restored: {error}")
            return
        if recovered is not None:
            LOG.warning("%s: restored after a crash", recovered)

    # Verbs.

    async def up(
        self, changes: Mapping[str, Any], *, auth_key: str = "", must_log_in: bool = False
    ) -> None:
        """Change preferences and bring the node up. Raises PreferencesError."""
        before = self.preferences
        wanted = before.changed({**changes, "wants_running": True})
        if not wanted.login_server:
            raise PreferencesError("no control server: give --login-server=https://...")
        trust(wanted.trusted_ca)
        try:
            ControlUrl.parse(wanted.login_server)
        except ValueError as error:
            raise PreferencesError(str(error)) from None
        if wanted.login_server != before.login_server and before.login_server:
            await self._end_session()
            await self._detach()
            self._memory.forget_login()
        self._memory.prefer(wanted)
        self._standing.login_error = ""
        is_over = (
            self._memory.identity.is_registered and self._standing.state == BackendState.NEEDS_LOGIN
        )
        is_retagged = wanted.advertise_tags != before.advertise_tags and bool(before.login_server)
        # A key that expired, or whose node was deleted, is of no use for a new session.
        must_log_in = must_log_in or is_retagged or is_over
        if must_log_in or not self._memory.identity.is_registered or self._session_task is None:
            await self._end_session()
            await self._follow_preferences(auth_key, must_log_in=must_log_in)
        else:
            self._report()
        self._apply_wanted.set()

    async def down(self) -> None:
        """Disconnect; the login is kept."""
        self._memory.prefer(self.preferences.changed({"wants_running": False}))
        await self._end_session()
        await self._detach()
        self._standing.state = BackendState.STOPPED

    async def logout(self) -> None:
        """End the node key's life here and at the control server."""
        if self._memory.identity.is_registered:
            await self._log_out_quietly()
        await self._end_session()
        await self._detach()
        self._memory.forget_login()
        self._memory.prefer(self.preferences.changed({"wants_running": False}))
        self._standing.state = BackendState.NEEDS_LOGIN

    async def ping(self, target: str, timeout_s: float) -> dict[str, Any]:
        """Ping a peer every way; return how the first answer came. Raises PreferencesError."""
        if self.netmap is None or self.tunnel is None:
            raise PreferencesError("not connected; run `postern up`")
        return await self._pings.ping(self.tunnel, self.netmap, target, timeout_s)

    async def netcheck(self) -> Report | None:
        """Return a full report of the network around us."""
        return await self.connectivity.netcheck() if self.connectivity is not None else None

    async def reach(self) -> ReachResponse | str:
        """Return what the control server lets this node reach, or why that is not known."""
        if self._session is None:
            return "not connected to a control server; run `postern up`"
        try:
            found = await self._session.reach()
        except (ControlLostError, ControlRefusedError) as error:
            return str(error)
        return "this control server does not tell" if found is None else found

    async def snapshot(self) -> Snapshot:
        """Return everything that `status` shows."""
        standing, netmap = self._standing, self.netmap
        tunnel, connectivity = self.tunnel, self.connectivity
        return Snapshot(
            version=own_version(),
            state=standing.state,
            preferences=self.preferences,
            auth_url=standing.auth_url,
            has_node_key=self._memory.identity.is_registered,
            interface=self._options.interface,
            netmap=netmap,
            own_endpoints=tuple(
                str(item.endpoint) for item in (connectivity.endpoints if connectivity else ())
            ),
            own_home=connectivity.home if connectivity is not None else 0,
            is_online=standing.is_online,
            health=self._health(),
            traffic=await loop_calls.traffic(tunnel) if tunnel is not None else {},
        )

    # What the control session says.

    def on_session(self, state: SessionState, text: str) -> None:
        """Note where the session stands."""
        self._standing.on_session(state, text)

    def on_registered(self, node_key: NodePrivate) -> None:
        """Keep the node key that the server took."""
        self._memory.register(node_key)
        self._standing.state = BackendState.STARTING

    def on_netmap(self, netmap: NetMap, change: NetMapChange) -> None:
        """Take a netmap."""
        del change
        self._memory.take_netmap(netmap)
        self._apply_wanted.set()

    # What the packet path says.

    def on_relay(self, bursts: list[RelaySend]) -> None:
        """Send bursts by relay."""
        if self.connectivity is not None:
            self.connectivity.relays.send(bursts)

    def on_stun(self, datagram: bytes, now: float) -> None:
        """Take a STUN datagram."""
        if self.connectivity is not None:
            self.connectivity.measurer.stun(datagram, now)

    def on_path_news(self, event: BookEvent) -> None:
        """Take what the path book reports."""
        match event:
            case EndpointsWanted():
                if self.connectivity is not None:
                    self.connectivity.refresh()
            case PathNews(node_key, PingAnswered() as answer):
                self._pings.note(node_key, answer)
            case PathNews(node_key, PathChanged(kind, endpoint)):
                LOG.info("peer %s: %s %s", node_key.hex()[:8], kind.value, endpoint or "")
            case _:
                pass

    # Making it so.

    async def _keep_applied(self) -> None:
        while True:
            try:
                # Keys expire without anybody saying so.
                async with asyncio.timeout(_REVIEW_S):
                    await self._apply_wanted.wait()
            except TimeoutError:
                self._look_after()
            self._apply_wanted.clear()
            if self.netmap is not None and self.preferences.wants_running:
                await self._apply(self.netmap)

    def _look_after(self) -> None:
        """Write out denials and the netmap, and notice a packet loop that died."""
        if self.tunnel is None:
            return
        gate = self.tunnel.path.gate
        for unwritten in (gate.denials.unwritten, gate.admissions.unwritten):
            while unwritten:
                LOG.info("%s", unwritten.popleft())
        if self.tunnel.loop.failure is not None:
            raise RuntimeError("the packet loop stopped") from self.tunnel.loop.failure
        self._log_health()
        if self._memory.is_due(self._loop.time()):
            self._standing.note("disk", self._memory.write_netmap(self._loop.time()))

    def _log_health(self) -> None:
        """Write out what was well when last looked at, such as a key that will expire soon."""
        lines = self._health()
        for line in lines:
            if line not in self._health_logged:
                LOG.warning("health: %s", line)
        self._health_logged = frozenset(lines)

    def _health(self) -> tuple[str, ...]:
        missing = self.applied is not None and self.applied.exit_node_missing
        return health_lines(
            self.netmap,
            datetime.now(UTC),
            troubles=tuple(text for _, text in sorted(self._standing.troubles.items())),
            exit_node_missing=self.preferences.exit_node if missing else "",
        )

    async def _apply(self, netmap: NetMap) -> None:
        standing = self._standing
        async with self._attaching:
            if not self.preferences.wants_running:
                return
            try:
                attachment = self._attachment = self._attachment or await self._attach()
                await attachment.apply(netmap, self.preferences)
            except MalformedRuleError as error:
                standing.note(
                    "filter", f"the packet filter was refused, the last one stays: {error}"
                )
                return
            except (HostNetworkError, TunError, TransportError, OSError) as error:
                if standing.note("host", str(error)):
                    LOG.error("%s", error)  # noqa: TRY400  the message says it all
                return
            standing.on_applied()
            standing.note("names", await attachment.apply_names(netmap, self.preferences))

    async def _attach(self) -> Attachment:
        return await Attachment.open(
            self._memory.identity,
            self,
            interface=self._options.interface,
            port=self._options.port,
            resolv_conf=self._options.resolv_conf,
            directory=self._directory,
            maps_port=self._options.maps_port,
            proxies=self._options.proxies,
            on_news=self._report,
            on_link_change=self._start_over,
            on_trouble=self._note_relay,
        )

    async def _detach(self) -> None:
        async with self._attaching:
            attachment, self._attachment = self._attachment, None
            if attachment is not None:
                await attachment.close()

    def _report(self) -> None:
        """Tell the control server and the path book what is new about us."""
        connectivity, tunnel = self.connectivity, self.tunnel
        if connectivity is not None and tunnel is not None:
            own = [*(item.endpoint for item in connectivity.endpoints), *connectivity.predicted]
            nat = connectivity.own_nat if self._options.guesses_ports else None
            loop_calls.set_own_endpoints(tunnel, own, nat)
        if self._session is not None:
            endpoints = connectivity.endpoints if connectivity is not None else ()
            self._session.report(self._hostinfo(), endpoints)

    def _start_over(self) -> None:
        """Prove every path and connection anew: our own addresses changed."""
        if self.tunnel is not None:
            loop_calls.forget_paths(self.tunnel)
        if self.connectivity is not None:
            self.connectivity.relays.reconnect()
        if self._session is not None:
            self._session.reconnect()

    def _note_relay(self, region: int, trouble: str) -> None:
        self._standing.note(f"relay {region}", trouble)

    # The session.

    async def _follow_preferences(self, auth_key: str = "", *, must_log_in: bool = False) -> None:
        """Start a session if one is wanted."""
        if not self.preferences.wants_running:
            logged_in = self._memory.identity.is_registered
            self._standing.state = BackendState.STOPPED if logged_in else BackendState.NEEDS_LOGIN
            return
        if must_log_in or not self._memory.identity.is_registered:
            # The tunnel and the netmap belong to a node key that may be replaced now: applied
            # meanwhile, the old netmap would open a tunnel with the old key again.
            await self._detach()
            self._memory.netmap = None
        self._standing.state = BackendState.STARTING
        self._session = self._new_session()
        self._session.auth_key, self._session.must_log_in = auth_key, must_log_in
        self._session_task = asyncio.create_task(self._session.run(), name="control")

    async def _end_session(self) -> None:
        task, self._session_task, self._session = self._session_task, None, None
        self._standing.is_online = False
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _log_out_quietly(self) -> None:
        session = self._session or self._new_session()
        try:
            await session.log_out()
        except (ControlLostError, ControlRefusedError) as error:
            LOG.warning("logout: %s", error)

    def _new_session(self) -> ControlSession:
        identity = self._memory.identity
        return ControlSession(
            url=ControlUrl.parse(self.preferences.login_server),
            identity=identity,
            disco=identity.disco.public,
            owner=self,
            hostinfo=self._hostinfo(),
            tls=trust(self.preferences.trusted_ca),
            proxies=self._options.proxies,
            is_ephemeral=self.preferences.is_ephemeral,
        )

    def _hostinfo(self) -> Hostinfo:
        connectivity = self.connectivity
        return describe(
            self.preferences,
            host_name=socket.gethostname().partition(".")[0],
            os_version=platform.release(),
            distribution=distribution(),
            machine=platform.machine(),
            version=own_version(),
            home_region=connectivity.home if connectivity is not None else 0,
            report=connectivity.report if connectivity is not None else None,
        )
