"""What a test entry asks, read from its strings; or why it asks nothing (policy reference 8.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from policy.model.ports import PROTOCOLS_WITH_PORTS, PolicyValueError, parse_ports, parse_protocol
from policy.model.selectors import (
    AUTOGROUPS,
    Address,
    Autogroup,
    Cidr,
    DomainUsers,
    Group,
    HostAlias,
    IpSetName,
    Selector,
    Service,
    Tag,
    User,
    Wildcard,
    parse_selector,
)

if TYPE_CHECKING:
    from policy.model.document import Policy
    from policy.model.ports import Ports
    from policy.model.term import Term

__all__ = [
    "MalformedCaseError",
    "Target",
    "read_named",
    "read_protocols",
    "read_source",
    "read_target",
]

_SINGLE_SOURCES = (User, Group, Tag, Address, HostAlias, Autogroup, DomainUsers)
_DEFAULT_PROTOCOLS = (6, 17)
"""Without a protocol a test asks for TCP or UDP; either suffices."""


class MalformedCaseError(Exception):
    """An entry that cannot be evaluated; the message says why."""


class Target(NamedTuple):
    """A destination to ask about."""

    selector: Selector
    ports: tuple[Ports, ...]

    @property
    def is_range(self) -> bool:
        """Whether more than one port is asked about."""
        return len(self.ports) > 1 or self.ports[0].first != self.ports[0].last


def read_source(term: Term, policy: Policy) -> Selector:
    """Read a source. Raises MalformedCaseError."""
    selector = read_named(term, policy)
    if not isinstance(selector, _SINGLE_SOURCES):
        raise MalformedCaseError(f"{selector.noun} cannot be the source of a test")
    if isinstance(selector, Autogroup) and selector.name in {"self", "internet", "danger-all"}:
        raise MalformedCaseError(f"{selector} cannot be the source of a test")
    if isinstance(selector, HostAlias) and not _is_single(selector, policy):
        raise MalformedCaseError(f"{selector} is a network, a test starts from one address")
    return selector


def read_named(term: Term, policy: Policy) -> Selector:
    """Read a selector whose name the policy must define. Raises MalformedCaseError."""
    selector = parse_selector(term.text)
    if selector is None:
        raise MalformedCaseError("an empty name")
    defined: dict[type[Selector], object] = {
        Tag: policy.tag_owners,
        Group: policy.groups,
        HostAlias: policy.hosts,
        IpSetName: policy.ipsets,
    }
    names = defined.get(type(selector))
    if isinstance(names, dict) and selector.text not in names and "@" not in selector.text:
        raise MalformedCaseError(f"{selector.kind} not found: {selector}")
    if isinstance(selector, Autogroup) and selector.name not in AUTOGROUPS:
        raise MalformedCaseError(f"autogroup not found: {selector}")
    return selector


def read_target(term: Term, policy: Policy, protocols: tuple[int, ...], *, suite: bool) -> Target:
    """Read a destination with its ports. Raises MalformedCaseError.

    A suite may ask for port lists, ranges and `*`, for networks and for the internet; a policy's
    own tests ask for one port on one host, user, group or tag.
    """
    host, colon, port_text = term.text.rpartition(":")
    if not colon:
        raise MalformedCaseError("a destination ends in a port, as in `tag:web:443`")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    ports = _ports(port_text, protocols, suite=suite)
    target = Target(read_named(term._replace(text=host.strip(" \t")), policy), ports)
    _check_kind(target, policy, suite=suite)
    return target


def _ports(text: str, protocols: tuple[int, ...], *, suite: bool) -> tuple[Ports, ...]:
    # Port 0 is how tests ask about protocols without ports.
    if text == "0" and not any(number in PROTOCOLS_WITH_PORTS for number in protocols):
        return (_no_port(),)
    try:
        ports = parse_ports(text)
    except PolicyValueError as error:
        raise MalformedCaseError(str(error)) from None
    if not suite and not text.isdecimal():
        raise MalformedCaseError(f'"{text}" is not one port; suites may ask for several')
    return ports


def _no_port() -> Ports:
    from policy.model.ports import Ports  # noqa: PLC0415  only protocols without ports need it

    return Ports(0, 0)


def _check_kind(target: Target, policy: Policy, *, suite: bool) -> None:
    selector = target.selector
    if isinstance(selector, Wildcard) or (
        isinstance(selector, Autogroup) and selector.name in {"self", "danger-all", "nonroot"}
    ):
        raise MalformedCaseError(f"{selector} cannot be the destination of a test")
    if suite:
        return
    if isinstance(selector, Cidr):
        raise MalformedCaseError("a test asks for one host, not for a CIDR; suites may")
    if isinstance(selector, Autogroup) and selector.name == "internet":
        raise MalformedCaseError("only suites may ask for autogroup:internet")
    if isinstance(selector, HostAlias) and not _is_single(selector, policy):
        raise MalformedCaseError(f"{selector} is a network; suites may ask for one")
    if isinstance(selector, Service | IpSetName):
        return


def _is_single(selector: HostAlias, policy: Policy) -> bool:
    network = policy.hosts[selector.text].network
    return network.prefixlen == network.max_prefixlen


def read_protocols(text: str | None) -> tuple[int, ...]:
    """Read the protocols of a test, any of which suffices. Raises MalformedCaseError."""
    if text is None:
        return _DEFAULT_PROTOCOLS
    try:
        number = parse_protocol(text)
    except PolicyValueError as error:
        raise MalformedCaseError(str(error)) from None
    return _DEFAULT_PROTOCOLS if number is None else (number,)
