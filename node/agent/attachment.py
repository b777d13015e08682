"""What an agent has running on its host while it is up: tunnel, connectivity and names."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from node.agent import loop_calls
from node.agent.bridge import Bridge
from node.agent.bypasses import Bypasses
from node.agent.connectivity import Connectivity
from node.agent.desired import Desired, desired, have_same_origins, home_region
from node.agent.names import Names
from node.agent.tunnel import Tunnel
from node.hostnet.host import local_networks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Self

    from node.agent.bridge import BridgeOwner
    from node.hostnet.plan import IPNetwork
    from node.netmap.netmap import NetMap
    from node.proxy.settings import ProxySettings
    from node.state.directory import StateDirectory
    from node.state.identity import Identity
    from node.state.preferences import Preferences

__all__ = ["Attachment"]


class Attachment:
    """Opened for one node key, led from netmap to netmap, closed as a whole."""

    def __init__(
        self,
        tunnel: Tunnel,
        names: Names,
        identity: Identity,
        *,
        maps_port: bool,
        proxies: ProxySettings,
        on_news: Callable[[], None],
        on_link_change: Callable[[], None],
        on_trouble: Callable[[int, str], None],
    ) -> None:
        """Start to measure around a tunnel that runs."""
        self.tunnel = tunnel
        self.applied: Desired | None = None
        self._host: tuple[bool, tuple[IPNetwork, ...]] = (True, ())
        self._bypasses = Bypasses(proxy.host for proxy in proxies.usable())
        self._names = names
        self.connectivity = Connectivity(
            identity.node,
            interface=tunnel.interface,
            port=tunnel.port,
            send_stun=lambda data, to: loop_calls.run(
                tunnel, lambda: tunnel.path.send_stun(data, to)
            ),
            on_received=lambda got: loop_calls.take_relayed(tunnel, got),
            on_news=on_news,
            on_link_change=on_link_change,
            on_trouble=on_trouble,
            maps_port=maps_port,
            proxies=proxies,
        )
        self._measuring = asyncio.create_task(self.connectivity.run(), name="connectivity")

    @classmethod
    async def open(
        cls,
        identity: Identity,
        owner: BridgeOwner,
        *,
        interface: str,
        port: int,
        resolv_conf: Path,
        directory: StateDirectory,
        maps_port: bool,
        proxies: ProxySettings,
        on_news: Callable[[], None],
        on_link_change: Callable[[], None],
        on_trouble: Callable[[int, str], None],
    ) -> Self:
        """Open a tunnel and all around it.

        Raises TunError, TransportError, HostNetworkError or OSError.
        """
        tunnel = Tunnel(
            interface=interface,
            port=port,
            node=identity.node,
            disco=identity.disco,
            out=Bridge(asyncio.get_running_loop(), owner),
        )
        try:
            await tunnel.start()
            names = Names(interface, resolv_conf, directory)
        except BaseException:
            await tunnel.stop()
            raise
        return cls(
            tunnel,
            names,
            identity,
            maps_port=maps_port,
            proxies=proxies,
            on_news=on_news,
            on_link_change=on_link_change,
            on_trouble=on_trouble,
        )

    async def apply(self, netmap: NetMap, preferences: Preferences) -> None:
        """Make a netmap so. Raises what `Tunnel.apply` does."""
        around = await asyncio.to_thread(local_networks, self.tunnel.interface)
        wanted = desired(netmap, preferences, datetime.now(UTC), around)
        host = (
            preferences.snat_subnet_routes,
            await self._bypasses.of(preferences, netmap.derp_map, around),
        )
        if self.applied is None or (wanted, host) != (self.applied, self._host):
            masquerades, passing = host
            await self.tunnel.apply(wanted, masquerades=masquerades, bypasses=passing)
        elif not have_same_origins(wanted.rules, self.applied.rules):
            await self.tunnel.note_origins(wanted.rules)
        self.applied, self._host = wanted, host
        homes = {peer.key.raw: home_region(peer) for peer in netmap.peers.values()}
        self.connectivity.configure(netmap.derp_map, homes, preferences.trusted_ca)

    async def apply_names(self, netmap: NetMap, preferences: Preferences) -> str:
        """Answer for a netmap's names; returns what is wrong, empty when nothing is."""
        return await self._names.apply(netmap, accept=preferences.accept_dns)

    def check(self) -> None:
        """Raise RuntimeError when a part that must run as long as this has stopped."""
        if self.tunnel.loop.failure is not None:
            raise RuntimeError("the packet loop stopped") from self.tunnel.loop.failure
        if self._measuring.done():
            raise RuntimeError("relays and paths are not looked after any more") from (
                self._measuring.exception()
            )

    async def close(self) -> None:
        """Take everything down."""
        self._measuring.cancel()
        await asyncio.gather(self._measuring, return_exceptions=True)
        await self._names.close()
        await self.tunnel.stop()
