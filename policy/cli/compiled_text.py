"""What nodes are told, for people: every rule with the lines of the policy that it came from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from policy.report.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from engine.compile.network import CompiledNetwork
    from engine.compile.ssh import SshPolicyRule
    from engine.rules import FilterRule, NetPortRange, Origin

__all__ = ["compiled_text"]

_ALL_PORTS = (0, 65535)


def compiled_text(
    network: CompiledNetwork, nodes: Sequence[int], parts: Sequence[str]
) -> Iterator[str]:
    """Yield a block of lines for each node."""
    for place, index in enumerate(nodes):
        node = network.directory.nodes[index]
        who = ", ".join(node.tags) or node.user or "nobody"
        addresses = " ".join(str(address) for address in node.addresses)
        yield f"{chr(10) if place else ''}{one_line(node.hostname)} ({one_line(who)}) {addresses}\n"
        for part in parts:
            yield from _part(network, index, part)


def _part(network: CompiledNetwork, index: int, part: str) -> Iterator[str]:
    name = network.policy.source.name
    match part:
        case "packetFilter":
            yield from _section("packet filter", _filter(network.filters.compile(index), name))
        case "sshPolicy":
            yield from _section("ssh", _ssh(network.ssh_policy(index), name))
        case "peers":
            yield from _section("peers", _peers(network, index))
        case "selfAllowedIPs":
            addresses = " ".join(network.peers.self_allowed_ips(index))
            yield from _section("own addresses", [addresses])
        case "selfCapMap":
            yield from _section("capabilities", _capabilities(network.capabilities.self_map(index)))
        case _:
            raise ValueError(f"no such part: {part}")


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    listed = list(lines)
    yield f"  {title}{'' if listed else ': none'}\n"
    yield from (f"    {one_line(line)}\n" for line in listed)


def _filter(rules: Iterable[FilterRule], name: str) -> Iterator[str]:
    for rule in rules:
        protocols = "" if rule.ip_proto is None else f" proto {','.join(map(str, rule.ip_proto))}"
        where = _origins(rule.origins, name)
        sources = " ".join(rule.src_ips) or "nobody"
        if rule.dst_ports:
            yield f"{sources} -> {' '.join(map(_port, rule.dst_ports))}{protocols}  [{where}]"
        for grant in rule.cap_grants:
            names = " ".join(grant.cap_map)
            yield f"{sources} -> {' '.join(grant.dsts)} may {names}  [{where}]"


def _port(entry: NetPortRange) -> str:
    ip = f"[{entry.ip}]" if ":" in entry.ip else entry.ip
    if entry.ports == _ALL_PORTS:
        return f"{ip}:*"
    first, last = entry.ports
    return f"{ip}:{first}" if first == last else f"{ip}:{first}-{last}"


def _ssh(rules: Iterable[SshPolicyRule], name: str) -> Iterator[str]:
    for rule in rules:
        action = "check" if rule.check else "accept"
        users = " ".join(
            asked if local in {asked, "="} else f"{asked}={local or 'denied'}"
            for asked, local in rule.ssh_users.items()
        )
        where = _origins((rule.origin,), name)
        yield f"{action} {' '.join(rule.principals)} as {users}  [{where}]"


def _peers(network: CompiledNetwork, index: int) -> Iterator[str]:
    for view in network.peers.peers(index):
        peer = network.directory.nodes[view.node]
        routes = f" primary for {' '.join(view.primary_routes)}" if view.primary_routes else ""
        yield f"{peer.hostname} {' '.join(view.allowed_ips)}{routes}"


def _capabilities(capabilities: dict[str, object]) -> Iterator[str]:
    for name, values in capabilities.items():
        yield name if values is None else f"{name} {json.dumps(values)}"


def _origins(origins: Iterable[Origin], name: str) -> str:
    return ", ".join(
        f"{origin.section}[{origin.position}] {name}:{origin.line}"
        if origin.line
        else "no section: everything is allowed"
        for origin in origins
    )
