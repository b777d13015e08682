"""The slow evaluator: the packet filter as the reference words it, for testing every fast one.

Reads the rules' strings again for each question, with the standard library's `ipaddress` and
linear scans. It shares the vocabulary of `engine.evaluate.flow` with the fast evaluator and no
code, so that a mistake in either shows as a difference (policy reference 9, 4.8, 3.1). Never used
in the product's own decisions.
"""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
    summarize_address_range,
)
from typing import TYPE_CHECKING

from engine.evaluate.flow import Flow, FlowKey, PacketHeader, Reason, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from engine.rules import FilterRule

    _Address = IPv4Address | IPv6Address
    _Network = IPv4Network | IPv6Network

__all__ = ["covering", "decide", "inbound", "is_local", "matching", "networks", "outbound"]

_TCP, _UDP, _SCTP, _TSMP = 6, 17, 132, 99
_ICMP = {4: 1, 6: 58}
_NO_PROTOCOL, _LATER_FRAGMENT = 0, 255


def decide(rules: Sequence[FilterRule], flow: Flow) -> Verdict:
    """Judge a new flow, as `FilterEvaluator.decide` does."""
    if flow.proto == _TSMP:
        return Verdict(allowed=True, reason=Reason.TSMP)
    for index, rule in enumerate(rules):
        if _allows(rule, flow):
            return Verdict(allowed=True, reason=Reason.RULE, rule_index=index, rule=rule)
    return Verdict(allowed=False, reason=Reason.NO_RULE)


def matching(rules: Sequence[FilterRule], flow: Flow) -> tuple[int, ...]:
    """Find all rules that allow a new flow, as `FilterEvaluator.matching` does."""
    return tuple(index for index, rule in enumerate(rules) if _allows(rule, flow))


def covering(rules: Sequence[FilterRule], flow: Flow, *, any_port: bool = False) -> tuple[int, ...]:
    """Find all rules that cover a flow by their letter, as `FilterEvaluator.covering` does."""
    return tuple(
        index
        for index, rule in enumerate(rules)
        if flow.proto in (rule.ip_proto or (6, 17, 1, 58))
        and _has_source(rule, flow)
        and any(any_port or first <= flow.dst_port <= last for first, last in _granted(rule, flow))
    )


def inbound(
    rules: Sequence[FilterRule],
    header: PacketHeader,
    local: Collection[str],
    replies: Collection[FlowKey] = (),
    sender: Collection[str] | None = None,
    link_local_allowed: Collection[str] = (),
) -> Verdict:
    """Judge a packet from a peer, as `PacketFilter.inbound` does; sets are wire strings."""
    src, dst = _address(header.version, header.src), _address(header.version, header.dst)
    if sender is not None and not any(_holds(text, src) for text in sender):
        return _deny(Reason.SPOOFED)
    early = _either_way(header, link_local_allowed)
    if early is not None:
        return early
    if not any(_holds(text, dst) for text in local):
        return _deny(Reason.NOT_LOCAL)
    if header.proto == _ICMP[header.version]:
        answers = {4: {0, 3, 11, 12}, 6: {129, 1, 2, 3, 4}}[header.version]
        if header.icmp_type in answers:
            return _allow(Reason.ICMP_REPLY)
    if header.proto == _TCP:
        syn, ack = bool(header.tcp_flags & 2), bool(header.tcp_flags & 16)
        if not syn or ack:
            return _allow(Reason.ESTABLISHED)
    if header.proto in (_UDP, _SCTP):
        began = FlowKey(
            header.version,
            header.proto,
            header.dst,
            header.dst_port,
            header.src,
            header.src_port,
        )
        if began in list(replies):
            return _allow(Reason.REPLY)
    if header.proto == _TSMP:
        return _allow(Reason.TSMP)
    return decide(
        rules, Flow(header.version, header.src, header.dst, header.proto, header.dst_port)
    )


def outbound(header: PacketHeader, link_local_allowed: Collection[str] = ()) -> Verdict:
    """Judge a packet from this node, as `PacketFilter.outbound` does."""
    early = _either_way(header, link_local_allowed)
    return _allow(Reason.OUTBOUND) if early is None else early


def is_local(
    destination: str, addresses: Sequence[str], routes: Sequence[str], lan: Sequence[str] = ()
) -> bool:
    """Tell whether a node takes packets for a destination, as `local_destinations` does."""
    address = ip_address(destination)
    if any(address == ip_address(own) for own in addresses):
        return True
    for route in routes:
        network = ip_network(route, strict=False)
        if address.version != network.version or address not in network:
            continue
        if network.prefixlen > 0:
            return True
        private = ("192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8", "100.64.0.0/10")
        special = ("169.254.0.0/16", "224.0.0.0/4", "fe80::/10", "ff00::/8")
        tailnet = ("fd7a:115c:a1e0::/48",)
        if not any(_holds(text, address) for text in (*private, *special, *tailnet, *lan)):
            return True
    return False


def networks(text: str) -> Iterator[_Network]:
    """Read one string of a rule as the prefixes that it stands for (policy reference 4.8)."""
    if text == "*":
        yield from (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
    elif "-" in text:
        low, high = map(ip_address, text.split("-"))
        match low, high:
            case (IPv4Address(), IPv4Address()) | (IPv6Address(), IPv6Address()):
                yield from summarize_address_range(low, high)
            case _:
                raise ValueError(f"{text!r} mixes IP versions")
    else:
        yield ip_network(text, strict=False)


def _allows(rule: FilterRule, flow: Flow) -> bool:
    """Apply the table of policy reference 9.3 to one rule; TSMP asks none."""
    if flow.proto in (_NO_PROTOCOL, _LATER_FRAGMENT, _TSMP) or not _has_source(rule, flow):
        return False
    granted = list(_granted(rule, flow))
    if flow.proto == _ICMP[flow.version]:
        return bool(granted)
    if flow.proto not in (rule.ip_proto or (6, 17, 1, 58)):
        return False
    if flow.proto in (_TCP, _UDP, _SCTP):
        return any(first <= flow.dst_port <= last for first, last in granted)
    return (0, 65535) in granted


def _has_source(rule: FilterRule, flow: Flow) -> bool:
    src = _address(flow.version, flow.src)
    return any(_holds(text, src) for text in rule.src_ips if not text.startswith("cap:"))


def _granted(rule: FilterRule, flow: Flow) -> Iterator[tuple[int, int]]:
    """Yield the port ranges that the rule grants on the flow's destination."""
    dst = _address(flow.version, flow.dst)
    for text, ports in rule.dst_ports:
        if _holds(text, dst):
            yield ports.first, ports.last


def _holds(text: str, address: _Address) -> bool:
    return any(
        network.version == address.version and address in network for network in networks(text)
    )


def _address(version: int, value: int) -> _Address:
    return IPv4Address(value) if version == 4 else IPv6Address(value)


def _either_way(header: PacketHeader, link_local_allowed: Collection[str]) -> Verdict | None:
    """Apply policy reference 9.2, from the third check on."""
    dst = _address(header.version, header.dst)
    if header.proto == _NO_PROTOCOL:
        return _deny(Reason.UNKNOWN_PROTOCOL)
    # Not `is_multicast` and `is_link_local`: newer Pythons look inside IPv4-mapped addresses.
    if _holds("224.0.0.0/4", dst) or _holds("ff00::/8", dst):
        return _deny(Reason.MULTICAST)
    exempt = dst == ip_address("169.254.169.254") or any(
        _holds(text, dst) for text in link_local_allowed
    )
    if not exempt and (_holds("169.254.0.0/16", dst) or _holds("fe80::/10", dst)):
        return _deny(Reason.LINK_LOCAL)
    if header.proto == _LATER_FRAGMENT:
        return _allow(Reason.LATER_FRAGMENT)
    return None


def _allow(reason: Reason) -> Verdict:
    return Verdict(allowed=True, reason=reason)


def _deny(reason: Reason) -> Verdict:
    return Verdict(allowed=False, reason=reason)
