"""The packet path's counters under their Prometheus names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from node.wireguard.keys import encode_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from node.datapath.pipeline import PythonDataPath


def prometheus_text(path: PythonDataPath | None) -> bytes:
    """Return what Prometheus reads; nothing without a data path. Call it where that runs."""
    registry = CollectorRegistry(auto_describe=False)
    if path is not None:
        registry.register(DataPathCollector(path))
    return generate_latest(registry)


class DataPathCollector(Collector):
    """Reads the counters whenever Prometheus asks. Call it where the data path runs."""

    def __init__(self, path: PythonDataPath) -> None:
        self._path = path

    def collect(self) -> Iterator[Metric]:
        """Yield every metric of the packet path."""
        yield from self._rules()
        yield self._drops()
        yield from self._peers()
        yield from self._totals()

    def _rules(self) -> Iterator[Metric]:
        counters = self._path.gate.counters
        labels = ["rule", "policy_rule", "policy_line"]
        families = [
            CounterMetricFamily(f"postern_filter_rule_{unit}", help_text, labels=labels)
            for unit, help_text in (
                ("packets", "Packets of flows that this rule let begin."),
                ("bytes", "Bytes of flows that this rule let begin."),
                ("flows", "Flows that this rule let begin."),
            )
        ]
        for rule in (counters.unruled, *counters.rules):
            name = "none" if rule.index < 0 else str(rule.index)
            places = ",".join(f"{origin.section}[{origin.position}]" for origin in rule.origins)
            lines = ",".join(str(origin.line) for origin in rule.origins) or "0"
            values = (rule.packets, rule.bytes, rule.flows)
            for family, value in zip(families, values, strict=True):
                family.add_metric([name, places, lines], value)
        yield from families

    def _drops(self) -> Metric:
        family = CounterMetricFamily(
            "postern_datapath_dropped", "Packets dropped.", labels=["direction", "reason"]
        )
        gate, device = self._path.gate, self._path.device
        for (direction, reason), count in sorted(
            gate.counters.drops.items(), key=lambda item: (item[0][0], item[0][1].value)
        ):
            family.add_metric([direction, reason.value], count)
        for drop, count in sorted(device.drops.items(), key=lambda item: item[0].value):
            family.add_metric(["wireguard", drop.value], count)
        counters = gate.counters
        family.add_metric(["in", "malformed"], counters.malformed_in)
        family.add_metric(["out", "malformed"], counters.malformed_out)
        family.add_metric(["out", "no-route"], counters.no_route)
        return family

    def _peers(self) -> Iterator[Metric]:
        received = CounterMetricFamily(
            "postern_peer_received_bytes", "Bytes received, WireGuard's included.", labels=["peer"]
        )
        sent = CounterMetricFamily(
            "postern_peer_sent_bytes", "Bytes sent, WireGuard's included.", labels=["peer"]
        )
        handshake = GaugeMetricFamily(
            "postern_peer_last_handshake_seconds",
            "Unix time of the last handshake.",
            labels=["peer"],
        )
        for peer in self._path.device.peers.values():
            name = [encode_key(peer.public_key)]
            received.add_metric(name, peer.received_bytes)
            sent.add_metric(name, peer.sent_bytes)
            handshake.add_metric(name, peer.last_handshake_unix_ns / 1e9)
        yield from (received, sent, handshake)

    def _totals(self) -> Iterator[Metric]:
        gate = self._path.gate
        counters = gate.counters
        for name, help_text, value in (
            ("segments_in", "Packets written to the host.", counters.segments_in),
            ("segments_out", "Packets sent to peers.", counters.segments_out),
            ("flows_revoked", "Flows cut by a change of filter.", counters.flows_revoked),
            ("flows_evicted", "Flows that gave way to others.", counters.flows_evicted),
            ("tcp_resets", "Resets sent to this host for cut flows.", counters.resets_sent),
            ("filters_installed", "Filters taken.", counters.filters_installed),
            ("filters_refused", "Filters that could not be read.", counters.filters_refused),
            ("denials_unlogged", "Denials that were not logged.", gate.denials.suppressed),
            ("send_errors", "Datagrams that the kernel refused.", counters.send_errors),
            ("tun_write_errors", "Packets that the host refused.", counters.tun_write_errors),
        ):
            yield CounterMetricFamily(f"postern_datapath_{name}", help_text, value=value)
        yield GaugeMetricFamily("postern_datapath_flows", "Live flows.", value=len(gate.flows))
