"""The rules of a policy: acls, grants, ssh and nodeAttrs (policy reference 2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from ipaddress import IPv4Network, IPv6Network

    from policy.model.ports import IpSpec, Ports
    from policy.model.selectors import Selector
    from policy.source import Span

__all__ = ["CHECK_ALWAYS", "Acl", "AclDestination", "Grant", "NodeAttr", "SshRule"]

CHECK_ALWAYS = 0
"""The check period of `always`: every connection is checked."""


class AclDestination(NamedTuple):
    """One `dst` entry of an acl."""

    selector: Selector
    ports: tuple[Ports, ...]


class Acl(NamedTuple):
    """One entry of `acls`."""

    position: int
    """Place in the section, from 0."""
    span: Span
    line: int
    src: tuple[Selector, ...]
    dst: tuple[AclDestination, ...]
    protocol: int | None
    """IP protocol number, or None for the default protocols."""
    src_posture: tuple[str, ...]
    """Names of postures any of which suffices; empty where the default applies."""


class Grant(NamedTuple):
    """One entry of `grants`."""

    position: int
    """Place in the section, from 0."""
    span: Span
    line: int
    src: tuple[Selector, ...]
    dst: tuple[Selector, ...]
    ip: tuple[IpSpec, ...]
    app: Mapping[str, Any]
    """Capability name to list of JSON values; empty where the grant is about the network only."""
    via: tuple[str, ...]
    """Tags, with their prefix."""
    src_posture: tuple[str, ...]


class SshRule(NamedTuple):
    """One entry of `ssh`."""

    position: int
    """Place in the section, from 0."""
    span: Span
    line: int
    check: bool
    """Whether the action is `check` rather than `accept`."""
    src: tuple[Selector, ...]
    dst: tuple[Selector, ...]
    users: tuple[str, ...]
    """Account names as written, and `autogroup:nonroot`, trimmed."""
    check_period_ns: int | None
    """Nanoseconds; `CHECK_ALWAYS`; None where the default of 12 hours applies."""
    accept_env: tuple[str, ...]
    src_posture: tuple[str, ...]
    recorder: tuple[Selector, ...]
    enforce_recorder: bool


class NodeAttr(NamedTuple):
    """One entry of `nodeAttrs`."""

    position: int
    """Place in the section, from 0."""
    span: Span
    line: int
    target: tuple[Selector, ...]
    attr: tuple[str, ...]
    app: Mapping[str, Any]
    ip_pool: tuple[IPv4Network | IPv6Network, ...]
