"""What a policy defines for its rules to refer to: groups, tags, hosts, ip sets, postures."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from policy.model.selectors import Selector
    from policy.source import Span

__all__ = [
    "Approvers",
    "Assertion",
    "AutoApprovers",
    "GroupDefinition",
    "HostDefinition",
    "IpSetDefinition",
    "IpSetEntry",
    "Operator",
    "PostureDefinition",
    "RouteApprovers",
    "TagOwners",
]


class GroupDefinition(NamedTuple):
    """`groups`: a name and the logins of its members, known or not."""

    name: str
    """With its `group:` prefix."""
    members: tuple[str, ...]
    span: Span


class TagOwners(NamedTuple):
    """`tagOwners`: a tag and who may assign it; nobody listed means the tailnet's admins only."""

    tag: str
    owners: tuple[Selector, ...]
    span: Span


class HostDefinition(NamedTuple):
    """`hosts`: an alias. A single address is a /32 or /128."""

    name: str
    network: IPv4Network | IPv6Network
    span: Span


class IpSetEntry(NamedTuple):
    """One step of building an ip set."""

    add: bool
    """False for `remove`."""
    target: Selector
    """An address, a CIDR, a host alias, another ip set, or `autogroup:internet`."""


class IpSetDefinition(NamedTuple):
    """`ipsets`: steps applied in order to the empty set."""

    name: str
    entries: tuple[IpSetEntry, ...]
    span: Span


class Operator(Enum):
    """How an assertion compares a device attribute."""

    EQUAL = "=="
    NOT_EQUAL = "!="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    IN = "IN"
    NOT_IN = "NOT IN"
    IS_SET = "IS SET"
    NOT_SET = "NOT SET"


class Assertion(NamedTuple):
    """One condition on one attribute of a device."""

    attribute: str
    operator: Operator
    values: tuple[str | float | bool, ...]
    """One value for a comparison, several for IN and NOT IN, none for IS SET and NOT SET."""


class PostureDefinition(NamedTuple):
    """`postures`: conditions that must all hold."""

    name: str
    assertions: tuple[Assertion, ...]
    message: str | None
    """Shown to a user whose device fails, if given."""
    span: Span


class RouteApprovers(NamedTuple):
    """`autoApprovers.routes`: who may have routes inside a prefix approved."""

    network: IPv4Network | IPv6Network
    approvers: tuple[Selector, ...]


class Approvers(NamedTuple):
    """`autoApprovers.services`: who may host a service."""

    service: str
    approvers: tuple[Selector, ...]


class AutoApprovers(NamedTuple):
    """`autoApprovers`, all three parts."""

    routes: tuple[RouteApprovers, ...] = ()
    exit_node: tuple[Selector, ...] = ()
    services: tuple[Approvers, ...] = ()
