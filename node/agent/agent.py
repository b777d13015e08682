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
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from node.agent import loop_calls
from node.agent.applier import Applier
from node.agent.control_link import ControlLink
from node.agent.host_description import describe, distribution
from node.agent.memory import Memory
from node.agent.standing import Standing
from node.agent.status import BackendState, Snapshot
from node.agent.trust import trust
from node.dns.resolv_conf import recover
from node.session.driver import ControlUrl
from node.state.directory import StateError
from node.state.preferences import PreferencesError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from control.keys import NodePrivate
    from control.wire import Hostinfo, ReachResponse
    from node.agent.connectivity import Connectivity
    from node.agent.control_session import SessionState
    from node.agent.desired import Desired
    from node.agent.options import AgentOptions
    from node.agent.tunnel import Tunnel
    from node.netmap.fold import NetMapChange
    from node.netmap.netmap import NetMap
    from node.paths.netcheck.report import Report
    from node.state.directory import StateDirectory
    from node.state.preferences import Preferences

__all__ = ["Agent", "own_version"]

LOG = logging.getLogger("postern.agent")


def own_version() -> str:
    """Return the installed version."""
    try:
        return version("postern")
    except PackageNotFoundError:
        return "unknown"


class Agent:
    """One node. Its methods are the verbs of the local API; all run in one event loop."""

    def __init__(self, directory: StateDirectory, options: AgentOptions) -> None:
        """Read the state. Raises StateError or PreferencesError."""
        self._options = options
        self._directory = directory
        self._memory = Memory(directory)
        self._standing = Standing()
        self._loop = asyncio.get_running_loop()
        self._link = ControlLink(self._memory, self, self._hostinfo, options.proxies)
        self._applier = Applier(
            self._memory,
            self._standing,
            options,
            directory,
            on_news=self._report,
            on_link_change=self._start_over,
        )

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
        attachment = self._applier.attachment
        return attachment.tunnel if attachment is not None else None

    @property
    def connectivity(self) -> Connectivity | None:
        """What keeps the node reachable, while there is a tunnel."""
        attachment = self._applier.attachment
        return attachment.connectivity if attachment is not None else None

    @property
    def applied(self) -> Desired | None:
        """What was made so last."""
        attachment = self._applier.attachment
        return attachment.applied if attachment is not None else None

    # Life.

    async def run(self, stop: asyncio.Event) -> None:
        """Run until told to stop; then take everything down."""
        self._memory.save()
        self._recover_resolver()
        self._memory.restore_netmap()
        self._applier.refresh()
        await self._begin_session()
        applying = asyncio.create_task(self._applier.run(), name="apply")
        try:
            waiting = asyncio.create_task(stop.wait(), name="stop")
            await asyncio.wait({waiting, applying}, return_when=asyncio.FIRST_COMPLETED)
            if applying.done():
                await applying
        finally:
            applying.cancel()
            await asyncio.gather(applying, return_exceptions=True)
            if self.preferences.is_ephemeral and self._memory.identity.is_registered:
                await self._link.log_out()
            await self._end_session()
            await self._applier.detach()
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
            await self._applier.detach()
            self._memory.forget_login()
        self._memory.prefer(wanted)
        self._standing.login_error = ""
        is_over = (
            self._memory.identity.is_registered and self._standing.state == BackendState.NEEDS_LOGIN
        )
        is_retagged = wanted.advertise_tags != before.advertise_tags and bool(before.login_server)
        # A key that expired, or whose node was deleted, is of no use for a new session.
        must_log_in = must_log_in or is_retagged or is_over
        is_new = not self._memory.identity.is_registered or not self._link.is_begun
        if must_log_in or is_new or wanted.trusted_ca != before.trusted_ca:
            await self._end_session()
            await self._begin_session(auth_key, must_log_in=must_log_in)
        else:
            self._report()
        self._applier.refresh()

    async def down(self) -> None:
        """Disconnect; the login is kept."""
        self._memory.prefer(self.preferences.changed({"wants_running": False}))
        await self._end_session()
        await self._applier.detach()
        self._standing.state = BackendState.STOPPED

    async def logout(self) -> None:
        """End the node key's life here and at the control server."""
        if self._memory.identity.is_registered:
            await self._link.log_out()
        await self._end_session()
        await self._applier.detach()
        self._memory.forget_login()
        self._memory.prefer(self.preferences.changed({"wants_running": False}))
        self._standing.state = BackendState.NEEDS_LOGIN

    async def ping(self, target: str, timeout_s: float) -> dict[str, Any]:
        """Ping a peer every way; return how the first answer came. Raises PreferencesError."""
        return await self._applier.ping(target, timeout_s)

    async def netcheck(self) -> Report | None:
        """Return a full report of the network around us."""
        return await self.connectivity.netcheck() if self.connectivity is not None else None

    async def reach(self) -> ReachResponse | str:
        """Return what the control server lets this node reach, or why that is not known."""
        return await self._link.reach()

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
            health=self._applier.health(),
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
        self._applier.refresh()

    # What is new about us.

    def _report(self) -> None:
        """Tell the control server and the path book."""
        self._applier.tell_own_endpoints()
        connectivity = self.connectivity
        self._link.report(connectivity.endpoints if connectivity is not None else ())

    def _start_over(self) -> None:
        """Prove every path and connection anew: our own addresses changed."""
        self._applier.start_over()
        self._link.reconnect()

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

    # The session.

    async def _begin_session(self, auth_key: str = "", *, must_log_in: bool = False) -> None:
        """Begin a session if one is wanted."""
        is_registered = self._memory.identity.is_registered
        if not self.preferences.wants_running:
            stopped = BackendState.STOPPED if is_registered else BackendState.NEEDS_LOGIN
            self._standing.state = stopped
            return
        if must_log_in or not is_registered:
            # The tunnel and the netmap belong to a node key that may be replaced now: applied
            # meanwhile, the old netmap would open a tunnel with the old key again.
            await self._applier.detach()
            self._memory.netmap = None
        self._standing.state = BackendState.STARTING
        self._link.begin(auth_key, must_log_in=must_log_in)

    async def _end_session(self) -> None:
        await self._link.end()
        self._standing.on_session_ended()
