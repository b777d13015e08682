"""Functions that the agent hands to the packet loop, and what they bring back."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from node.agent.status import PeerTraffic
from node.paths.news import PathKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

    from node.agent.tunnel import Tunnel
    from node.paths.birthday_rounds import OwnNat
    from node.relays.links import Received
    from node.transport.endpoint import Endpoint

__all__ = ["forget_paths", "ping", "run", "set_own_endpoints", "take_relayed", "traffic"]

LOG = logging.getLogger("postern.agent")


def run(tunnel: Tunnel, function: Callable[[], object]) -> None:
    """Run a function in the packet loop; a failure is logged."""

    def report(future: Future[Any]) -> None:
        if not future.cancelled() and future.exception() is not None:
            LOG.error("packet loop", exc_info=future.exception())

    tunnel.loop.call(function).add_done_callback(report)


def take_relayed(tunnel: Tunnel, received: list[Received]) -> None:
    """Hand over what relays brought."""
    run(tunnel, lambda: tunnel.path.from_relay(received, time.monotonic()))


def set_own_endpoints(tunnel: Tunnel, endpoints: Iterable[Endpoint], nat: OwnNat | None) -> None:
    """Tell the path book our own endpoints, and what our NAT is."""

    def tell() -> None:
        tunnel.path.book.set_own_nat(nat)
        tunnel.path.book.set_own_endpoints(endpoints, time.monotonic())
        tunnel.path.settle()

    run(tunnel, tell)


def forget_paths(tunnel: Tunnel) -> None:
    """Have every path proven anew."""

    def forget() -> None:
        tunnel.path.book.reset(time.monotonic())
        tunnel.path.settle()

    run(tunnel, forget)


async def ping(tunnel: Tunnel, node_key: bytes) -> bool:
    """Ping a peer every way; False when it is none."""

    def ask() -> bool:
        is_known = tunnel.path.book.ping(node_key, time.monotonic())
        tunnel.path.settle()
        return is_known

    return await tunnel.ask(ask)


async def traffic(tunnel: Tunnel) -> dict[bytes, PeerTraffic]:
    """Return what the packet path knows of each peer, by node key."""
    return await tunnel.ask(lambda: _traffic(tunnel))


def _traffic(tunnel: Tunnel) -> dict[bytes, PeerTraffic]:
    now = time.monotonic()
    found = {}
    for key, peer in tunnel.path.device.peers.items():
        path = tunnel.path.book.path(key)
        best = path.best if path is not None and path.kind(now) is PathKind.DIRECT else None
        found[key] = PeerTraffic(
            received_bytes=peer.received_bytes,
            sent_bytes=peer.sent_bytes,
            last_handshake_unix_ns=peer.last_handshake_unix_ns,
            current_address=str(best.endpoint) if best is not None else "",
            is_active=peer.current is not None,
        )
    return found
