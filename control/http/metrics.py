"""`/metrics` in Prometheus' text form, on a listener of its own and never on the public one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, generate_latest

if TYPE_CHECKING:
    from control.app import ControlServer

__all__ = ["Metrics"]


class Metrics:
    """Reads what the server's parts count anyway, whenever somebody asks."""

    def __init__(self, server: ControlServer) -> None:
        self._registry = CollectorRegistry()
        self._relay = server.relay
        self._requests = server.journal.registry
        tailnet = server.ledger.tailnet
        for name, about, count in (
            ("nodes", "Nodes of the tailnet.", lambda: len(tailnet)),
            (
                "nodes_online",
                "Nodes that are connected.",
                lambda: sum(tailnet.is_online(node.id) for node in tailnet.nodes),
            ),
            ("users", "Users of the tailnet.", lambda: len(tailnet.users)),
            ("connections", "Open control connections.", lambda: server.ts2021.connection_count),
            ("map_streams", "Map streams being fed.", lambda: server.atlas.stream_count),
            ("logins_waiting", "Logins that wait for a person.", lambda: len(server.logins)),
            (
                "policy_version",
                "Number of the policy in force, 0 for one that is not stored.",
                lambda: server.keeper.in_force.version,
            ),
            (
                "policy_tests_failing",
                "Tests of the policy in force that fail now.",
                lambda: len(server.keeper.failing_tests),
            ),
        ):
            gauge = Gauge(f"postern_control_{name}", about, registry=self._registry)
            gauge.set_function(count)

    def add_routes(self, app: web.Application) -> None:
        """Put the endpoint in place."""
        app.router.add_get("/metrics", self._metrics)

    def text(self) -> bytes:
        """Return every metric, the embedded relay's among them."""
        own = generate_latest(self._registry) + generate_latest(self._requests)
        return own if self._relay is None else own + self._relay.metrics()

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self.text(), content_type="text/plain", charset="utf-8")
