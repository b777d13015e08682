"""A relay inside the control server, on the server's own listener, with STUN beside it.

Who may use it follows from the tailnet alone: nodes that are members, let in and not expired. A
node that stops being one is cut off from the relay in the same moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog

from control.errors import InvalidRequestError
from control.keys import KeyTextError, NodePublic
from control.wire import DerpNode, DerpRegion
from relay.app import Host, Relay, RelayConfig
from relay.key_file import load_server_key
from relay.server.metrics import exposition

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from aiohttp import web

    from control.config import ControlConfig
    from control.registry.ledger import Change, Ledger
    from relay.session_server import AdmissionAsked

__all__ = ["EmbeddedRelay", "region_of"]

_NO_STUN = -1
_log = structlog.get_logger("control.relay")


def region_of(config: ControlConfig) -> DerpRegion | None:
    """Return the region that nodes are told of, or None without an embedded relay."""
    server = config.derp.server
    if not server.enabled:
        return None
    parts = urlsplit(config.server_url)
    _, stun_port = server.stun_address or ("", _NO_STUN)
    return DerpRegion(
        region_id=server.region_id,
        region_code=server.region_code,
        region_name=server.region_name,
        nodes=(
            DerpNode(
                name=f"{server.region_id}a",
                region_id=server.region_id,
                host_name=parts.hostname or "",
                ipv4=server.ipv4,
                ipv6=server.ipv6,
                stun_port=stun_port,
                derp_port=parts.port or 0,
            ),
        ),
    )


class EmbeddedRelay:
    """One relay of the tailnet's members; runs from `start` to `close`."""

    def __init__(self, config: ControlConfig, ledger: Ledger) -> None:
        """Read or make the relay's key. Raises InvalidRequestError that says what to mend."""
        server = config.derp.server
        try:
            private = load_server_key(server.private_key_path)
        except (ValueError, OSError) as error:
            raise InvalidRequestError(f"derp.server.private_key_path: {error}") from None
        stun = server.stun_address
        self._ledger = ledger
        self._admitted: dict[int, NodePublic] = {}
        settings = RelayConfig(private=private, listen=None, stun=(stun,) if stun else ())
        self._relay = Relay(settings, self)
        ledger.listen(self._on_change)

    async def start(self) -> None:
        """Start STUN and timers; connections come through `protocol_factory`."""
        try:
            await self._relay.__aenter__()
        except OSError as error:
            raise InvalidRequestError(
                f"derp.server.stun_listen_addr: {error.strerror}; empty turns STUN off"
            ) from None
        _log.info("relaying", key=self._relay.public_key.hex()[:8])

    def add_routes(self, app: web.Application) -> None:
        """Put the probes and the WebSocket upgrade in place."""
        app.add_routes(self._relay.pages.derp_routes())

    def front(
        self,
        http: Callable[[], asyncio.Protocol],
        on_known: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> asyncio.Protocol:
        """Return what looks at a connection first, as `control.http.listener.Front` asks.

        DERP's upgrade must not go through an HTTP server: frames may follow the request at once.
        """
        return self._relay.first_protocol(http, Host(on_known, on_lost))

    def metrics(self) -> bytes:
        """Return the relay's counters in Prometheus' text form."""
        body, _ = exposition(self._relay.hub, self._relay.pages.stun_sockets)
        return body

    async def admits(self, asked: AdmissionAsked) -> bool:
        """Decide about a client, as `relay.admission.Admission` asks."""
        try:
            key = NodePublic(asked.key)
        except KeyTextError:
            return False
        node = self._ledger.tailnet.node_by_key(key)
        if node is None or not self._is_member(key):
            return False
        self._admitted[node.id] = key
        return True

    def _is_member(self, key: NodePublic) -> bool:
        return self._ledger.tailnet.is_member(key, self._ledger.now())

    def _on_change(self, change: Change) -> None:
        for node_id in change.nodes & self._admitted.keys():
            key = self._admitted[node_id]
            if not self._is_member(key):
                del self._admitted[node_id]
                self._relay.close_client(key.raw)

    async def drain(self, within_s: float) -> None:
        """Send clients away, one after the other."""
        await self._relay.drain(within_s)

    async def close(self) -> None:
        """Stop everything."""
        await self._relay.close()
