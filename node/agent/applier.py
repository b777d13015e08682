"""Makes so what the netmap and the user want, on this host, and looks after it.

One attachment at most: opened when there is first something to apply, closed as a whole.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from engine.rules import MalformedRuleError
from node.agent import loop_calls
from node.agent.attachment import Attachment
from node.agent.health import health_lines
from node.agent.pings import Pings
from node.datapath.tun import TunError
from node.hostnet.host import HostNetworkError
from node.paths.news import EndpointsWanted, PathChanged, PathNews, PingAnswered
from node.state.preferences import PreferencesError
from node.transport.udp import TransportError

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.agent.memory import Memory
    from node.agent.mesh_transport import RelaySend
    from node.agent.options import AgentOptions
    from node.agent.standing import Standing
    from node.paths.news import BookEvent
    from node.state.directory import StateDirectory

__all__ = ["Applier"]

LOG = logging.getLogger("postern.agent")
_REVIEW_S: Final = 1.0


class Applier:
    """Applies when it is told that something is new, and about once a second."""

    def __init__(
        self,
        memory: Memory,
        standing: Standing,
        options: AgentOptions,
        directory: StateDirectory,
        *,
        on_news: Callable[[], None],
        on_link_change: Callable[[], None],
    ) -> None:
        self._memory = memory
        self._standing = standing
        self._options = options
        self._directory = directory
        self._on_news = on_news
        self._on_link_change = on_link_change
        self._loop = asyncio.get_running_loop()
        self._attaching = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._health_logged: frozenset[str] = frozenset()
        self._pings = Pings()
        self.attachment: Attachment | None = None

    def refresh(self) -> None:
        """Apply soon."""
        self._wanted.set()

    async def run(self) -> None:
        """Apply until cancelled. Raises RuntimeError when a part that must not stop has."""
        while True:
            try:
                # Keys expire without anybody saying so.
                async with asyncio.timeout(_REVIEW_S):
                    await self._wanted.wait()
            except TimeoutError:
                self._look_after()
            self._wanted.clear()
            async with self._attaching:
                await self._apply()

    async def detach(self) -> None:
        """Take everything down."""
        async with self._attaching:
            attachment, self.attachment = self.attachment, None
            if attachment is not None:
                await attachment.close()
                self._standing.on_detached()

    async def ping(self, target: str, timeout_s: float) -> dict[str, Any]:
        """Ping a peer every way; return how the first answer came. Raises PreferencesError."""
        if self._memory.netmap is None or self.attachment is None:
            raise PreferencesError("not connected; run `postern up`")
        return await self._pings.ping(
            self.attachment.tunnel, self._memory.netmap, target, timeout_s
        )

    def health(self) -> tuple[str, ...]:
        """Return what is wrong, or soon will be."""
        applied = self.attachment.applied if self.attachment is not None else None
        missing = applied is not None and applied.exit_node_missing
        return health_lines(
            self._memory.netmap,
            datetime.now(UTC),
            troubles=tuple(text for _, text in sorted(self._standing.troubles.items())),
            exit_node_missing=self._memory.preferences.exit_node if missing else "",
        )

    def tell_own_endpoints(self) -> None:
        """Tell the path book what is new about us."""
        if self.attachment is None:
            return
        connectivity = self.attachment.connectivity
        own = [*(item.endpoint for item in connectivity.endpoints), *connectivity.predicted]
        nat = connectivity.own_nat if self._options.guesses_ports else None
        loop_calls.set_own_endpoints(self.attachment.tunnel, own, nat)

    def start_over(self) -> None:
        """Prove every path and relay connection anew: our own addresses changed."""
        if self.attachment is not None:
            loop_calls.forget_paths(self.attachment.tunnel)
            self.attachment.connectivity.relays.reconnect()

    # What the packet path says.

    def on_relay(self, bursts: list[RelaySend]) -> None:
        """Send bursts by relay."""
        if self.attachment is not None:
            self.attachment.connectivity.relays.send(bursts)

    def on_stun(self, datagram: bytes, now: float) -> None:
        """Take a STUN datagram."""
        if self.attachment is not None:
            self.attachment.connectivity.measurer.stun(datagram, now)

    def on_path_news(self, event: BookEvent) -> None:
        """Take what the path book reports."""
        match event:
            case EndpointsWanted():
                if self.attachment is not None:
                    self.attachment.connectivity.refresh()
            case PathNews(node_key, PingAnswered() as answer):
                self._pings.note(node_key, answer)
            case PathNews(node_key, PathChanged(kind, endpoint)):
                LOG.info("peer %s: %s %s", node_key.hex()[:8], kind.value, endpoint or "")
            case _:
                pass

    # Making it so.

    async def _apply(self) -> None:
        # Read with the lock held: who detaches takes away the netmap of a key that is replaced.
        standing, netmap = self._standing, self._memory.netmap
        preferences = self._memory.preferences
        if netmap is None or not preferences.wants_running:
            return
        try:
            attachment = self.attachment = self.attachment or await self._attach()
            await attachment.apply(netmap, preferences)
        except MalformedRuleError as error:
            standing.note("filter", f"the packet filter was refused, the last one stays: {error}")
            return
        except (HostNetworkError, TunError, TransportError, OSError) as error:
            if standing.note("host", str(error)):
                LOG.error("%s", error)  # noqa: TRY400  the message says it all
            return
        standing.on_applied()
        standing.note("names", await attachment.apply_names(netmap, preferences))

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
            on_news=self._on_news,
            on_link_change=self._on_link_change,
            on_trouble=self._standing.note_relay,
        )

    def _look_after(self) -> None:
        """Write out denials, health and the netmap, and notice a part that died."""
        if self.attachment is None:
            return
        self.attachment.check()
        gate = self.attachment.tunnel.path.gate
        for unwritten in (gate.denials.unwritten, gate.admissions.unwritten):
            while unwritten:
                LOG.info("%s", unwritten.popleft())
        lines = self.health()
        for line in lines:
            if line not in self._health_logged:
                LOG.warning("health: %s", line)
        self._health_logged = frozenset(lines)
        if self._memory.is_due(self._loop.time()):
            self._standing.note("disk", self._memory.write_netmap(self._loop.time()))
