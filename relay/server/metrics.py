"""The relay's counters in Prometheus text, under the names the field uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.metrics_core import Metric

    from relay.server.hub import Hub
    from relay.server.stun_socket import StunSocket

__all__ = ["exposition"]

_PLAIN_COUNTERS = (
    "accepts",
    "accepts_refused",
    "websocket_accepts",
    "clients_refused",
    "bytes_received",
    "bytes_sent",
    "packets_received",
    "packets_sent",
    "packets_forwarded_in",
    "packets_forwarded_out",
    "unknown_frames",
    "home_moves_in",
    "home_moves_out",
    "got_ping",
    "sent_pong",
    "peer_gone_disconnected_frames",
    "peer_gone_not_here_frames",
    "multiforwarder_created",
    "multiforwarder_deleted",
)


def exposition(hub: Hub, stun_sockets: Iterable[StunSocket]) -> tuple[bytes, str]:
    """Return the metrics page and its content type."""
    registry = CollectorRegistry()
    registry.register(_RelayCollector(hub, list(stun_sockets)))
    return generate_latest(registry), CONTENT_TYPE_LATEST


class _RelayCollector(Collector):
    """Reads the counters when asked; nothing is kept twice."""

    def __init__(self, hub: Hub, stun_sockets: list[StunSocket]) -> None:
        self._hub = hub
        self._stun_sockets = stun_sockets

    def collect(self) -> Iterator[Metric]:
        yield from self._gauges()
        yield from self._counters()
        yield from self._histograms()
        yield from self._labelled()
        yield from self._stun()

    def _gauges(self) -> Iterator[Metric]:
        router = self._hub.router
        connections = list(router.connections())
        local, remote = router.key_counts()
        duplicates = router.duplicate_keys()
        values = {
            "current_connections": len(connections),
            "current_home_connections": sum(c.is_home for c in connections),
            "current_notideal_connections": sum(not c.is_ideal for c in connections),
            "clients_total": local + remote,
            "clients_local": local,
            "clients_remote": remote,
            "watchers": router.watcher_count(),
            "current_dup_client_keys": len(duplicates),
            "current_dup_client_conns": sum(duplicates),
        }
        for name, value in values.items():
            yield GaugeMetricFamily(f"derp_gauge_{name}", name.replace("_", " "), value=value)
        yield GaugeMetricFamily(
            "derp_average_queue_duration_ms",
            "time a packet waited for a client that did not read, exponential average",
            value=self._hub.counters.queue_seconds_average * 1000,
        )

    def _counters(self) -> Iterator[Metric]:
        counters = self._hub.counters
        for name in _PLAIN_COUNTERS:
            value = getattr(counters, name)
            yield CounterMetricFamily(f"derp_{name}", name.replace("_", " "), value=value)
        yield CounterMetricFamily(
            "derp_counter_total_dup_client_conns",
            "connections whose key was connected already",
            value=counters.dup_client_conns,
        )
        yield CounterMetricFamily(
            "derp_sclient_write_timeouts",
            "clients closed because they did not read",
            value=counters.write_timeouts,
        )

    def _histograms(self) -> Iterator[Metric]:
        counters = self._hub.counters
        for name, text, found in (
            (
                "derp_counter_buffered_write_frames",
                "frames that left in one write",
                counters.buffered_write_frames,
            ),
            # The field also counts how often a writer looked for more of these before it rested;
            # here they all leave with the next write.
            (
                "derp_counter_mesh_update_batch_size",
                "arrivals and departures told to a mesh peer in one write",
                counters.mesh_update_batch_size,
            ),
        ):
            yield HistogramMetricFamily(name, text, found.buckets(), found.sum)

    def _labelled(self) -> Iterator[Metric]:
        counters = self._hub.counters
        kinds = CounterMetricFamily(
            "derp_counter_packets_received_kind", "packets by kind", labels=["kind"]
        )
        disco = counters.packets_received_disco
        kinds.add_metric(["disco"], disco)
        kinds.add_metric(["other"], counters.packets_received - disco)
        yield kinds
        for unit, table in (
            ("packets", counters.packets_dropped),
            ("bytes", counters.bytes_dropped),
        ):
            family = CounterMetricFamily(
                f"derp_{unit}_dropped", f"{unit} not delivered", labels=["reason", "kind"]
            )
            for (reason, kind), count in table.items():
                family.add_metric([reason.value, kind.value], count)
            yield family
        faults = CounterMetricFamily(
            "derp_connection_faults", "connections ended by a fault", labels=["fault"]
        )
        for fault, count in counters.faults.items():
            faults.add_metric([fault], count)
        yield faults
        round_trips = CounterMetricFamily(
            "derp_counter_tcp_rtt", "round trips to clients, sampled, by bound in ms", labels=["le"]
        )
        for bound, count in counters.round_trips.items():
            round_trips.add_metric([bound], count)
        yield round_trips
        versions = CounterMetricFamily(
            "derper_tls_request_version", "connections by TLS version", labels=["version"]
        )
        for version, count in counters.tls_versions.items():
            versions.add_metric([version], count)
        yield versions

    def _stun(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "stun_counter_requests", "datagrams by outcome", labels=["disposition"]
        )
        families = CounterMetricFamily(
            "stun_counter_addrfamily", "answers by address family", labels=["family"]
        )
        for name in ("success", "not_stun", "read_error", "write_error"):
            requests.add_metric([name], sum(s.requests[name] for s in self._stun_sockets))
        for name in ("ipv4", "ipv6"):
            families.add_metric([name], sum(s.families[name] for s in self._stun_sockets))
        yield requests
        yield families
