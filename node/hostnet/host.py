"""Applies plans to this host with netlink and nft. A plan that fails halfway is taken back.

Only what stands in our own table, on our own interface, or in our own nftables table is ever
touched, so leftovers of a crash go when the next agent starts.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from node.hostnet.forwarding import Forwarding
from node.hostnet.netlink import IPRoute, NetlinkError
from node.hostnet.plan import BYPASS_MARK, MARK_MASK, HostPlan, Step, StepKind, route_table, steps

if TYPE_CHECKING:
    from node.hostnet.plan import IPNetwork

__all__ = ["HostNetwork", "HostNetworkError", "local_addresses", "local_networks"]

_FAMILIES: Final = {4: socket.AF_INET, 6: socket.AF_INET6}
_MAIN_TABLE: Final = 254
_DEFAULT_TABLE: Final = 253
_GSO_MAX_BYTES: Final = 61000
_MARKED: Final = {"fwmark": BYPASS_MARK, "fwmask": MARK_MASK}
_UNREACHABLE: Final = 7
_FOR_EVER: Final = 0xFFFFFFFF
_RULES: Final[tuple[dict[str, Any], ...]] = (
    {"priority": 5310, "table": _MAIN_TABLE, **_MARKED},
    {"priority": 5330, "table": _DEFAULT_TABLE, **_MARKED},
    {"priority": 5350, "action": _UNREACHABLE, **_MARKED},
)
"""All agents of a host share these; the last to go takes them along."""
_SOURCE_PRIORITY: Final = 5360
"""What speaks from an agent's address leaves by that agent, whichever of a host it is."""
_ROUTES_PRIORITY: Final = 5370


class HostNetworkError(Exception):
    """The host refused a change; the message says which. What was done of it was taken back."""


class HostNetwork:
    """The host's side of one tunnel interface."""

    def __init__(self, interface: str) -> None:
        self._interface = interface
        self._index = 0
        self._table = route_table(interface)
        self._forwarding = Forwarding(interface)
        self._applied = HostPlan()

    def prepare(self) -> None:
        """Bring the interface up with our rules, after clearing what a crash left behind.

        Raises HostNetworkError.
        """
        with _explained("interface"), IPRoute() as ip:
            found = list(ip.link_lookup(ifname=self._interface))
            if not found:
                raise HostNetworkError(f"{self._interface}: no such interface")
            self._index = found[0]
            # Old kernels cannot set this: there a super-packet takes two sends.
            with contextlib.suppress(NetlinkError):
                ip.link("set", index=self._index, gso_max_size=_GSO_MAX_BYTES)
            ip.link("set", index=self._index, mtu=self._applied.mtu, state="up")
            for family in self._families():
                ip.flush_routes(table=self._table, family=family)
                _delete_rule(ip, family, self._source_rules)
                for rule in (*_RULES, self._own_rule):
                    _add_rule(ip, family, rule)
            self._forwarding.recover()

    def apply(self, plan: HostPlan) -> None:
        """Lead the host to a plan. Raises HostNetworkError; the host is then as it was before."""
        before = self._applied
        done: list[Step] = []
        with IPRoute() as ip:
            try:
                for step in steps(before, plan):
                    done.append(step)
                    self._take(ip, step)
            except (NetlinkError, OSError, HostNetworkError) as error:
                for step in reversed(done):
                    # The step that failed may have done half of its work.
                    with contextlib.suppress(NetlinkError, OSError, HostNetworkError):
                        self._take(ip, step.opposite(before))
                raise HostNetworkError(f"{_spelled(done[-1])}: {error}") from error
        self._applied = plan

    def clear(self) -> None:
        """Take everything away that does not go with the interface."""
        with contextlib.suppress(HostNetworkError):
            self.apply(HostPlan())
        with IPRoute() as ip:
            for family in self._families():
                _delete_rule(ip, family, self._source_rules)
                _delete_rule(ip, family, self._own_rule)
                priorities = {rule.get_attr("FRA_PRIORITY") for rule in ip.get_rules(family=family)}
                if _ROUTES_PRIORITY not in priorities:
                    for rule in _RULES:
                        _delete_rule(ip, family, rule)

    @property
    def _own_rule(self) -> dict[str, Any]:
        return {"priority": _ROUTES_PRIORITY, "table": self._table}

    @property
    def _source_rules(self) -> dict[str, Any]:
        """What the rules for every address of ours have in common."""
        return {"priority": _SOURCE_PRIORITY, "table": self._table}

    def _families(self) -> tuple[int, ...]:
        has_ipv6 = Path("/proc/net/if_inet6").exists()
        return (socket.AF_INET, socket.AF_INET6) if has_ipv6 else (socket.AF_INET,)

    def _take(self, ip: IPRoute, step: Step) -> None:
        if step.kind is StepKind.FORWARDING:
            if step.is_addition:
                self._forwarding.turn_on(masquerades=step.masquerades)
            else:
                self._forwarding.turn_off()
            return
        for network in step.networks:
            family = _FAMILIES[network.version]
            if family not in self._families():
                continue
            try:
                self._change(ip, step, network, family)
            except NetlinkError as error:
                # What is there already, or gone already, is as it should be.
                wanted = (errno.EEXIST,) if step.is_addition else (errno.ESRCH, errno.EADDRNOTAVAIL)
                if error.code not in wanted:
                    raise

    def _change(self, ip: IPRoute, step: Step, network: IPNetwork, family: int) -> None:
        verb = "add" if step.is_addition else "del"
        match step.kind:
            case StepKind.ADDRESS | StepKind.SERVICE:
                address = str(network.network_address)
                options = {"index": self._index, "address": address, "family": family}
                if family == socket.AF_INET6 and step.is_addition:
                    # Nobody else can have it: duplicate detection would only delay its use.
                    options["flags"] = 0x02
                    if step.kind is StepKind.SERVICE:
                        # Deprecated from the start: the last to be chosen as a source (RFC 6724).
                        options |= {"preferred_lft": 0, "valid_lft": _FOR_EVER}
                if step.kind is StepKind.ADDRESS:
                    rule = {**self._source_rules, "src": address, "src_len": network.prefixlen}
                    if step.is_addition:
                        _add_rule(ip, family, rule)
                    else:
                        _delete_rule(ip, family, rule)
                ip.addr(verb, prefixlen=network.prefixlen, **options)
            case StepKind.BYPASS:
                ip.route(verb, dst=str(network), type="throw", table=self._table, family=family)
            case _:
                ip.route(verb, dst=str(network), oif=self._index, table=self._table, family=family)


def local_addresses(
    without: str = "",
) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...]:
    """Return the addresses of the interfaces that are up, those of interface `without` left out."""
    found = []
    with IPRoute() as ip:
        skipped = set(ip.link_lookup(ifname=without)) if without else set()
        for item in ip.get_addr():
            text = item.get_attr("IFA_LOCAL") or item.get_attr("IFA_ADDRESS")
            if text and item["index"] not in skipped:
                found.append(ipaddress.ip_address(text))
    return tuple(found)


def local_networks(without: str = "") -> tuple[IPNetwork, ...]:
    """Return the networks that this host is in, loopback and interface `without` left out."""
    found: dict[IPNetwork, None] = {}
    with IPRoute() as ip:
        skipped = set(ip.link_lookup(ifname=without)) if without else set()
        for item in ip.get_addr():
            text = item.get_attr("IFA_LOCAL") or item.get_attr("IFA_ADDRESS")
            if not text or item["index"] in skipped:
                continue
            network = ipaddress.ip_network(f"{text}/{item['prefixlen']}", strict=False)
            if not (network.is_loopback or network.is_link_local):
                found[network] = None
    return tuple(found)


@contextlib.contextmanager
def _explained(what: str) -> Any:
    try:
        yield
    except (NetlinkError, OSError) as error:
        raise HostNetworkError(f"{what}: {error}") from error


def _add_rule(ip: IPRoute, family: int, rule: dict[str, Any]) -> None:
    try:
        ip.rule("add", family=family, **rule)
    except NetlinkError as error:
        # Another agent put it there, or one that crashed.
        if error.code != errno.EEXIST:
            raise


def _delete_rule(ip: IPRoute, family: int, rule: dict[str, Any]) -> None:
    # Once for each copy: a crashed agent may have left some.
    with contextlib.suppress(NetlinkError):
        while True:
            ip.rule("del", family=family, **rule)


def _spelled(step: Step) -> str:
    verb = "add" if step.is_addition else "remove"
    return f"{verb} {step.kind.value} {', '.join(map(str, step.networks))}".strip()
