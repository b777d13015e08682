"""What the local API says about a running interface, as plain JSON values."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from engine.evaluate import Reason, allowing_origins
from engine.netset.address import format_address
from engine.netset.protocols import protocol_name
from node.wireguard.keys import encode_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.rules import Origin
    from node.datapath.admissions import Admission
    from node.datapath.counters import RuleCounters
    from node.datapath.denials import Denial
    from node.datapath.flows import Flow
    from node.datapath.pipeline import PythonDataPath
    from node.wireguard.peer import Peer

FLOWS_SHOWN = 1000


def interface_status(path: PythonDataPath, name: str, fwmark: int) -> dict[str, Any]:
    """Return what `wg show` needs, and the state of filter and offloads."""
    device, gate = path.device, path.gate
    return {
        "interface": name,
        "public_key": encode_key(device.public_key),
        "listen_port": path.transport.port,
        "fwmark": fwmark,
        "offloads": {"tun": path.tun.offloads.name.lower(), "udp": path.transport.gso},
        "filter": {
            "installed": gate.filter is not None,
            "rules": len(gate.counters.rules),
            "refusal": gate.refusal,
        },
        "flows": len(gate.flows),
        "peers": [_peer(path, peer) for peer in device.peers.values()],
        "drops": drops(path),
    }


def _peer(path: PythonDataPath, peer: Peer) -> dict[str, Any]:
    return {
        "public_key": encode_key(peer.public_key),
        "has_preshared_key": peer.preshared is not None,
        "endpoint": None if peer.path is None else str(peer.path),
        "allowed_ips": [str(n) for n in path.device.allowed_ips.networks_of(peer)],
        "latest_handshake_ns": peer.last_handshake_unix_ns,
        "received_bytes": peer.received_bytes,
        "sent_bytes": peer.sent_bytes,
        "persistent_keepalive_s": peer.persistent_keepalive_s,
    }


def drops(path: PythonDataPath) -> dict[str, int]:
    """Return every non-zero drop counter by a stable name."""
    found = {f"wireguard_{drop.value}": count for drop, count in path.device.drops.items()}
    found |= {
        f"{direction}_{reason.value}": count
        for (direction, reason), count in path.gate.counters.drops.items()
    }
    counters = path.gate.counters
    for name in ("malformed_in", "malformed_out", "no_route", "send_errors", "tun_write_errors"):
        found[name] = getattr(counters, name)
    return {name: count for name, count in sorted(found.items()) if count}


def rules(path: PythonDataPath) -> list[dict[str, Any]]:
    """Return the counters of each rule, and of what needs none under index -1."""
    counters = path.gate.counters
    return [_rule(counter) for counter in (counters.unruled, *counters.rules)]


def _rule(counter: RuleCounters) -> dict[str, Any]:
    return {
        "index": counter.index,
        "policy": policy_places(counter.origins),
        "policy_line": counter.policy_line,
        "packets": counter.packets,
        "bytes": counter.bytes,
        "flows": counter.flows,
    }


def flows(path: PythonDataPath) -> list[dict[str, Any]]:
    """Return some live flows with the rule that lets each be."""
    return [_flow(flow) for flow in path.gate.recent_flows(FLOWS_SHOWN)]


def _flow(flow: Flow) -> dict[str, Any]:
    header = flow.header
    return {
        "proto": protocol_name(header.proto),
        "src": format_address(header.version, header.src),
        "src_port": header.src_port,
        "dst": format_address(header.version, header.dst),
        "dst_port": header.dst_port,
        "direction": "in" if flow.is_inbound else "out",
        "state": flow.state.value,
        "reason": (Reason.RULE if flow.counters.index >= 0 else Reason.OUTBOUND).value,
        "rule": flow.counters.index if flow.counters.index >= 0 else None,
        "policy": _flow_policy(flow),
        "policy_line": flow.counters.policy_line,
        "packets_in": flow.packets_in,
        "packets_out": flow.packets_out,
        "bytes_in": flow.bytes_in,
        "bytes_out": flow.bytes_out,
    }


def _flow_policy(flow: Flow) -> list[dict[str, Any]]:
    rule, header = flow.counters.rule, flow.header
    return [] if rule is None else policy_places(allowing_origins(rule, header.key.flow))


def policy_places(origins: Iterable[Origin]) -> list[dict[str, Any]]:
    """Return where in the policy something comes from."""
    return [
        {"section": section, "index": position, "line": line} for section, position, line in origins
    ]


def admissions(path: PythonDataPath) -> dict[str, Any]:
    """Return the latest flows that the filter let in, newest last, with their age."""
    log, now = path.gate.admissions, time.monotonic()
    return {"suppressed": log.suppressed, "recent": [_admission(a, now) for a in log.recent]}


def _admission(admission: Admission, now: float) -> dict[str, Any]:
    header = admission.header
    return {
        "age_s": round(now - admission.at, 3),
        "proto": protocol_name(header.proto),
        "src": format_address(header.version, header.src),
        "src_port": header.src_port,
        "dst": format_address(header.version, header.dst),
        "dst_port": header.dst_port,
        "rule": admission.rule_index,
        "policy": policy_places(admission.origins),
        "text": str(admission),
    }


def denials(path: PythonDataPath) -> dict[str, Any]:
    """Return the latest denials, newest last, with their age."""
    log, now = path.gate.denials, time.monotonic()
    return {"suppressed": log.suppressed, "recent": [_denial(d, now) for d in log.recent]}


def _denial(denial: Denial, now: float) -> dict[str, Any]:
    return {
        "age_s": round(now - denial.at, 3),
        "direction": denial.direction,
        "reason": denial.reason.value,
        "proto": protocol_name(denial.proto),
        "src": format_address(denial.version, denial.src),
        "src_port": denial.src_port,
        "dst": format_address(denial.version, denial.dst),
        "dst_port": denial.dst_port,
        "text": str(denial),
    }
