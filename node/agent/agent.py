"""Composition root of the agent: wires state, session, tunnel and connectivity. Decides little.

control session ──netmap──► desired ──► tunnel (packet path, host network)
      ▲                        │
      │ endpoints, home        └──────► connectivity (relays, netcheck)
      └──────────────────────────────────────┘
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engine.rules import MalformedRuleError
from node.agent import loop_calls
from node.agent.bridge import Bridge
from node.agent.bypasses import bypasses
from node.agent.connectivity import Connectivity
from node.agent.control_session import ControlSession, SessionState
from node.agent.desired import Desired, desired, home_region
from node.agent.health import health_lines
from node.agent.host_description import describe
from node.agent.names import Names
from node.agent.pings import Pings
from node.agent.status import BackendState, Snapshot
from node.agent.trust import trust
from node.agent.tunnel import Tunnel
from node.datapath.tun import TunError
from node.hostnet.host import HostNetworkError
from node.paths.news import EndpointsWanted, PathChanged, PathNews, PingAnswered
from node.session.driver import ControlLostError, ControlRefusedError, ControlUrl
from node.state.directory import StateDirectory, StateError
from node.state.identity import Identity
from node.state.last_netmap import from_disk, to_disk
from node.state.preferences import Preferences, PreferencesError
from node.transport.udp import TransportError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from control.keys import NodePrivate
    from control.wire import Hostinfo
    from node.agent.mesh_transport import RelaySend
    from node.netmap.fold import NetMapChange
    from node.netmap.netmap import NetMap
    from node.paths.netcheck.report import Report
    from node.paths.news import BookEvent

__all__ = ["Agent", "AgentOptions", "own_version"]

LOG = logging.getLogger("postern.agent")
_STATE_FILE: Final = "agent.json"
_NETMAP_FILE: Final = "netmap.json"
_REVIEW_S: Final = 1.0
_SAVE_GAP_S: Final = 1.0


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
    resolv_conf: Path = Path("/etc/resolv.conf")


class Agent:
    """One node. Its methods are the verbs of the local API; all run in one event loop."""

    def __init__(self, directory: StateDirectory, options: AgentOptions) -> None:
        """Read the state. Raises StateError or PreferencesError."""
        self._directory = directory
        self._options = options
        stored = directory.read(_STATE_FILE) or {}
        if "identity" in stored:
            self._identity = Identity.from_json(stored["identity"])
        else:
            self._identity = Identity.generate(os.urandom)
        self.preferences = Preferences.from_json(stored.get("preferences", {}))
        self._loop = asyncio.get_running_loop()
        self._session: ControlSession | None = None
        self._session_task: asyncio.Task[None] | None = None
        self.tunnel: Tunnel | None = None
        self.connectivity: Connectivity | None = None
        self._connectivity_task: asyncio.Task[None] | None = None
        self._names: Names | None = None
        self.netmap: NetMap | None = None
        self.applied: Desired | None = None
        self._apply_wanted = asyncio.Event()
        self._saved_at = float("-inf")
        self._is_unsaved = False
        self._state = BackendState.NO_STATE
        self._session_text = ""
        self._auth_url = ""
        self.login_error = ""
        self._is_online = False
        self._troubles: dict[str, str] = {}
        self._pings = Pings()

    # Life.

    async def run(self, stop: asyncio.Event) -> None:
        """Run until told to stop; then take everything down."""
        self._save()
        self._restore_netmap()
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
            if self.preferences.is_ephemeral and self._identity.is_registered:
                await self._log_out_quietly()
            await self._end_session()
            await self._drop_tunnel()
            self._write_netmap()

    def _restore_netmap(self) -> None:
        stored = self._directory.read(_NETMAP_FILE)
        if stored is not None and self._identity.is_registered:
            netmap = from_disk(stored, datetime.now(UTC))
            if netmap is not None and netmap.self_node.key == self._identity.node.public:
                self.netmap = netmap
                self._apply_wanted.set()

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
            self._forget_login()
        self.preferences = wanted
        self._save()
        self.login_error = ""
        needs_login = not self._identity.is_registered or self._state == BackendState.NEEDS_LOGIN
        is_retagged = wanted.advertise_tags != before.advertise_tags and bool(before.login_server)
        if needs_login or must_log_in or is_retagged or self._session_task is None:
            await self._end_session()
            await self._follow_preferences(auth_key, must_log_in=must_log_in or is_retagged)
        else:
            self._report()
        self._apply_wanted.set()

    async def down(self) -> None:
        """Disconnect; the login is kept."""
        self.preferences = self.preferences.changed({"wants_running": False})
        self._save()
        await self._end_session()
        await self._drop_tunnel()
        self._state = BackendState.STOPPED

    async def logout(self) -> None:
        """End the node key's life here and at the control server."""
        if self._identity.is_registered:
            await self._log_out_quietly()
        await self._end_session()
        await self._drop_tunnel()
        self._forget_login()
        self.preferences = self.preferences.changed({"wants_running": False})
        self._save()
        self._state = BackendState.NEEDS_LOGIN

    async def ping(self, target: str, timeout_s: float) -> dict[str, Any]:
        """Ping a peer every way; return how the first answer came. Raises PreferencesError."""
        if self.netmap is None or self.tunnel is None:
            raise PreferencesError("not connected; run `postern up`")
        return await self._pings.ping(self.tunnel, self.netmap, target, timeout_s)

    async def netcheck(self) -> Report | None:
        """Return a full report of the network around us."""
        return await self.connectivity.netcheck() if self.connectivity is not None else None

    async def snapshot(self) -> Snapshot:
        """Return everything that `status` shows."""
        netmap, tunnel, connectivity = self.netmap, self.tunnel, self.connectivity
        missing = self.applied is not None and self.applied.exit_node_missing
        return Snapshot(
            version=own_version(),
            state=self._state,
            preferences=self.preferences,
            auth_url=self._auth_url,
            has_node_key=self._identity.is_registered,
            interface=self._options.interface,
            netmap=netmap,
            own_endpoints=tuple(
                str(item.endpoint) for item in (connectivity.endpoints if connectivity else ())
            ),
            own_home=connectivity.home if connectivity is not None else 0,
            is_online=self._is_online,
            health=health_lines(
                netmap,
                datetime.now(UTC),
                troubles=tuple(text for _, text in sorted(self._troubles.items())),
                exit_node_missing=self.preferences.exit_node if missing else "",
            ),
            traffic=await loop_calls.traffic(tunnel) if tunnel is not None else {},
        )

    # What the control session says.

    def on_session(self, state: SessionState, text: str) -> None:
        """Note where the session stands."""
        self._is_online = state is SessionState.STREAMING
        self._auth_url = ""
        self._troubles.pop("control", None)
        match state:
            case SessionState.NEEDS_LOGIN:
                self._state = BackendState.NEEDS_LOGIN
                if text.startswith(("http://", "https://")):
                    self._auth_url = text
                else:
                    self.login_error = text or "the control server does not know this node"
            case SessionState.NEEDS_APPROVAL:
                self._state = BackendState.NEEDS_MACHINE_AUTH
            case SessionState.STREAMING:
                self.login_error = ""
            case SessionState.OFFLINE:
                self._troubles["control"] = f"no connection to the control server: {text}"
            case SessionState.CONNECTING:
                if self._state not in {BackendState.RUNNING, BackendState.NEEDS_LOGIN}:
                    self._state = BackendState.STARTING

    def on_registered(self, node_key: NodePrivate) -> None:
        """Keep the node key that the server took."""
        if node_key.public != self._identity.node.public:
            self.netmap = None
        self._identity = self._identity.registered(node_key)
        self._state = BackendState.STARTING
        self._save()

    def on_netmap(self, netmap: NetMap, change: NetMapChange) -> None:
        """Take a netmap."""
        del change
        self.netmap = netmap
        self._is_unsaved = True
        self._apply_wanted.set()

    # What the packet path says.

    def on_relay(self, datagrams: list[RelaySend]) -> None:
        """Send datagrams by relay."""
        if self.connectivity is not None:
            self.connectivity.relays.send(datagrams)

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
                await self._apply_names(self.netmap)

    def _look_after(self) -> None:
        """Write out denials and the netmap, and notice a packet loop that died."""
        if self.tunnel is None:
            return
        unwritten = self.tunnel.path.gate.denials.unwritten
        while unwritten:
            LOG.info("%s", unwritten.popleft())
        if self.tunnel.loop.failure is not None:
            raise RuntimeError("the packet loop stopped") from self.tunnel.loop.failure
        if self._is_unsaved and self._loop.time() - self._saved_at >= _SAVE_GAP_S:
            self._write_netmap()

    async def _apply(self, netmap: NetMap) -> None:
        wanted = desired(netmap, self.preferences, datetime.now(UTC))
        if wanted == self.applied and self.tunnel is not None:
            self._configure(netmap)
            return
        try:
            tunnel = self.tunnel or await self._open_tunnel()
            await tunnel.apply(
                wanted,
                masquerades=self.preferences.snat_subnet_routes,
                bypasses=await bypasses(self.preferences, netmap.derp_map),
            )
        except MalformedRuleError as error:
            self._troubles["filter"] = f"the packet filter was refused, the last one stays: {error}"
            return
        except (HostNetworkError, TunError, TransportError) as error:
            if self._troubles.get("host") != str(error):
                LOG.error("%s", error)  # noqa: TRY400  the message says it all
            self._troubles["host"] = str(error)
            return
        for name in ("filter", "host"):
            self._troubles.pop(name, None)
        self.applied = wanted
        self._configure(netmap)
        if self._state in {BackendState.STARTING, BackendState.NO_STATE}:
            self._state = BackendState.RUNNING

    async def _apply_names(self, netmap: NetMap) -> None:
        if self.tunnel is None or self._names is None:
            return
        trouble = await self._names.apply(netmap, accept=self.preferences.accept_dns)
        if trouble:
            self._troubles["names"] = trouble
        else:
            self._troubles.pop("names", None)

    def _configure(self, netmap: NetMap) -> None:
        if self.connectivity is not None:
            homes = {peer.key.raw: home_region(peer) for peer in netmap.peers.values()}
            self.connectivity.configure(netmap.derp_map, homes)

    async def _open_tunnel(self) -> Tunnel:
        node = self._identity.node
        tunnel = Tunnel(
            interface=self._options.interface,
            port=self._options.port,
            node=node,
            disco=self._identity.disco,
            out=Bridge(self._loop, self),
        )
        await tunnel.start()
        self.tunnel = tunnel
        self._names = Names(self._options.interface, self._options.resolv_conf)
        self.connectivity = Connectivity(
            node,
            interface=self._options.interface,
            port=tunnel.port,
            send_stun=lambda data, to: loop_calls.run(
                tunnel, lambda: tunnel.path.send_stun(data, to)
            ),
            on_received=lambda got: loop_calls.take_relayed(tunnel, got),
            on_news=self._report,
            on_link_change=self._start_over,
            on_trouble=self._note_relay,
            maps_port=self._options.maps_port,
        )
        self._connectivity_task = asyncio.create_task(self.connectivity.run(), name="connectivity")
        return tunnel

    async def _drop_tunnel(self) -> None:
        if self._connectivity_task is not None:
            self._connectivity_task.cancel()
            await asyncio.gather(self._connectivity_task, return_exceptions=True)
        names, self._names = self._names, None
        if names is not None:
            await names.close()
        tunnel, self.tunnel = self.tunnel, None
        self.connectivity = self._connectivity_task = self.applied = None
        if tunnel is not None:
            await tunnel.stop()

    def _report(self) -> None:
        """Tell the control server and the path book what is new about us."""
        connectivity, tunnel = self.connectivity, self.tunnel
        if connectivity is not None and tunnel is not None:
            own = [*(item.endpoint for item in connectivity.endpoints), *connectivity.predicted]
            loop_calls.set_own_endpoints(tunnel, own)
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
        if trouble:
            self._troubles[f"relay {region}"] = trouble
        else:
            self._troubles.pop(f"relay {region}", None)

    # The session.

    async def _follow_preferences(self, auth_key: str = "", *, must_log_in: bool = False) -> None:
        """Start a session if one is wanted."""
        if not self.preferences.wants_running:
            logged_in = self._identity.is_registered
            self._state = BackendState.STOPPED if logged_in else BackendState.NEEDS_LOGIN
            return
        if not (self._identity.is_registered and not must_log_in):
            # The tunnel belongs to a node key that may be replaced now.
            await self._drop_tunnel()
        self._state = BackendState.STARTING
        self._session = ControlSession(
            url=ControlUrl.parse(self.preferences.login_server),
            identity=self._identity,
            disco=self._identity.disco.public,
            owner=self,
            hostinfo=self._hostinfo(),
            tls=trust(self.preferences.trusted_ca),
            auth_key=auth_key,
            is_ephemeral=self.preferences.is_ephemeral,
            must_log_in=must_log_in,
        )
        self._session_task = asyncio.create_task(self._session.run(), name="control")

    async def _end_session(self) -> None:
        task, self._session_task, self._session = self._session_task, None, None
        self._is_online = False
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _log_out_quietly(self) -> None:
        session = self._session or ControlSession(
            url=ControlUrl.parse(self.preferences.login_server),
            identity=self._identity,
            disco=self._identity.disco.public,
            owner=self,
            hostinfo=self._hostinfo(),
            tls=trust(self.preferences.trusted_ca),
        )
        try:
            await session.log_out()
        except (ControlLostError, ControlRefusedError) as error:
            LOG.warning("logout: %s", error)

    def _forget_login(self) -> None:
        self._identity = self._identity.logged_out(os.urandom)
        self.netmap = self.applied = None
        self._directory.delete(_NETMAP_FILE)

    def _hostinfo(self) -> Hostinfo:
        connectivity = self.connectivity
        return describe(
            self.preferences,
            host_name=socket.gethostname().partition(".")[0],
            os_version=platform.release(),
            distribution="",
            machine=platform.machine(),
            version=own_version(),
            home_region=connectivity.home if connectivity is not None else 0,
            report=connectivity.report if connectivity is not None else None,
        )

    # The disk.

    def _save(self) -> None:
        self._directory.write(
            _STATE_FILE,
            {"identity": self._identity.to_json(), "preferences": self.preferences.to_json()},
        )

    def _write_netmap(self) -> None:
        if not self._is_unsaved or self.netmap is None:
            return
        self._saved_at, self._is_unsaved = self._loop.time(), False
        try:
            self._directory.write(_NETMAP_FILE, to_disk(self.netmap))
        except StateError as error:
            self._troubles["disk"] = f"the netmap cannot be kept: {error}"
