"""One tunnel: TUN device, sockets, packet loop and host, led from one `Desired` to the next.

`apply` swaps the packet path's filter, peers and paths between two bursts, so no packet is judged
by half of a netmap. The host's addresses and routes follow; should the host refuse them, it is as
it was before, and the filter, which protects this node, is in force all the same.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, TypeVar

from control.wire.tailnet_address import TAILNET
from engine.netset import IpSet
from node.agent.desired import SERVICE_ADDRESSES, Desired
from node.agent.mesh_device import MeshDevice
from node.agent.mesh_path import MeshDataPath
from node.agent.mesh_transport import MeshTransport
from node.agent.ways import BestWay
from node.datapath.contract import PeerConfig
from node.datapath.gate import DENY_ALL
from node.datapath.loop import PacketLoop
from node.datapath.tun import Tun
from node.hostnet.host import HostNetwork
from node.hostnet.plan import BYPASS_MARK, DEFAULT_MTU, HostPlan
from node.paths.book import PathBook, PeerAddresses
from node.via.translator import Translator, via_routes
from node.wireguard.keys import SecretKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from control.keys import DiscoPrivate, NodePrivate
    from engine.rules import FilterRule
    from node.agent.desired import DesiredPeer
    from node.agent.mesh_path import Outside
    from node.hostnet.plan import IPNetwork
    from node.transport.endpoint import Endpoint
    from node.wireguard.path import Path

__all__ = ["Tunnel"]

Result = TypeVar("Result")


class Tunnel:
    """One interface of the mesh. Everything that touches the packet path runs in its loop."""

    def __init__(
        self, *, interface: str, port: int, node: NodePrivate, disco: DiscoPrivate, out: Outside
    ) -> None:
        """Open the interface and the sockets. Raises TunError, TransportError."""
        private = SecretKey(bytes.fromhex(node.to_secret_text().partition(":")[2]))
        self.interface = interface
        self._tun = Tun(interface)
        try:
            book = PathBook(disco, node.public.raw, os.urandom, is_allowed=_may_be_tried)
            self._transport = MeshTransport(book, port=port, mark=BYPASS_MARK)
        except BaseException:
            self._tun.close()
            raise
        device = MeshDevice(private, entropy=os.urandom, unix_ns=time.time_ns, mtu=DEFAULT_MTU)
        self.path = MeshDataPath(self._tun, self._transport, device, book, out)
        # Until a netmap says otherwise nothing gets in.
        self.path.gate.install(DENY_ALL)
        self.loop = PacketLoop(self.path)
        self._host = HostNetwork(interface)
        self._translator = Translator(interface)
        self._desired = Desired((), (), (), IpSet(), (), ())
        self._device = device

    @property
    def port(self) -> int:
        """The UDP port that WireGuard and disco share."""
        return self._transport.port

    async def start(self) -> None:
        """Bring the interface up and start to move packets. Raises HostNetworkError."""
        await asyncio.to_thread(self._host.prepare)
        self.loop.start()

    async def ask(self, function: Callable[[], Result]) -> Result:
        """Run a function in the packet loop; return what it returned."""
        return await asyncio.wrap_future(self.loop.call(function))

    async def apply(
        self, wanted: Desired, *, masquerades: bool, bypasses: Iterable[IPNetwork]
    ) -> None:
        """Make a `Desired` so.

        Raises MalformedRuleError, with nothing changed, or HostNetworkError, with the packet path
        changed and the host as it was.
        """
        await self.ask(lambda: self._swap(wanted))
        services = tuple(SERVICE_ADDRESSES) if wanted.addresses else ()
        plan = HostPlan(
            addresses=wanted.addresses,
            services=services,
            routes=wanted.routes,
            bypasses=tuple(sorted(set(bypasses), key=str)),
            forwards=wanted.forwards,
            masquerades=masquerades,
        )
        await asyncio.to_thread(self._host.apply, plan)
        await asyncio.to_thread(self._translator.lead, via_routes(wanted.forwards))

    async def note_origins(self, rules: tuple[FilterRule, ...]) -> None:
        """Take the filter in force with other origins: nothing is judged anew."""
        await self.ask(lambda: self.path.gate.counters.install_rules(rules))

    async def stop(self) -> None:
        """Take everything down."""
        await asyncio.to_thread(self._take_down)

    def _take_down(self) -> None:
        self.loop.stop()
        self._translator.stop()
        self._host.clear()
        self._device.wipe()
        self._transport.close()
        self._tun.close()

    def _swap(self, wanted: Desired) -> None:
        """Change filter, peers and paths. Runs in the packet loop."""
        now = time.monotonic()
        before, path = self._desired, self.path
        rules = (wanted.rules, wanted.local, wanted.deputy)
        if rules != (before.rules, before.local, before.deputy):
            path.install_rules(*rules)
        else:
            path.gate.counters.install_rules(wanted.rules)
        held = {peer.node_key: peer for peer in before.peers}
        kept = {peer.node_key for peer in wanted.peers}
        for node_key in held.keys() - kept:
            path.remove_peer(node_key)
        for peer in wanted.peers:
            old = held.get(peer.node_key)
            has_moved = old is None or (peer.is_plain_wireguard and old.endpoints != peer.endpoints)
            if has_moved or old is None or old.allowed_ips != peer.allowed_ips:
                path.set_peer(_peer_config(peer, has_moved=has_moved), now)
        path.book.set_peers(
            (_addresses(peer) for peer in wanted.peers if not peer.is_plain_wireguard), now
        )
        self._transport.forget_routes()
        self._desired = wanted
        path.settle()


def _peer_config(peer: DesiredPeer, *, has_moved: bool) -> PeerConfig:
    way: Path | None = BestWay(peer.node_key)
    if peer.is_plain_wireguard:
        # A plain peer roams by itself: only news of the netmap say where it is.
        way = peer.endpoints[0] if has_moved and peer.endpoints else None
    return PeerConfig(public_key=peer.node_key, allowed_ips=peer.allowed_ips, path=way)


def _addresses(peer: DesiredPeer) -> PeerAddresses:
    return PeerAddresses(peer.node_key, peer.disco_key, peer.endpoints, peer.home_region)


def _may_be_tried(endpoint: Endpoint) -> bool:
    """Return whether an address can be a path: never one inside a tailnet."""
    return not any(endpoint.ip in network for network in TAILNET)
