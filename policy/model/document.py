"""The whole policy as a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from policy.model.definitions import AutoApprovers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from policy.model.cases import SshTestCase, TestCase
    from policy.model.definitions import (
        GroupDefinition,
        HostDefinition,
        IpSetDefinition,
        PostureDefinition,
        TagOwners,
    )
    from policy.model.rules import Acl, Grant, NodeAttr, SshRule
    from policy.source import Source

__all__ = ["Policy"]


class Policy(NamedTuple):
    """A policy whose every reference is known to resolve."""

    source: Source
    acls: tuple[Acl, ...] | None
    """None where the section is absent, which differs from empty (policy reference 4.1)."""
    grants: tuple[Grant, ...] | None
    groups: Mapping[str, GroupDefinition]
    tag_owners: Mapping[str, TagOwners]
    hosts: Mapping[str, HostDefinition]
    ipsets: Mapping[str, IpSetDefinition]
    postures: Mapping[str, PostureDefinition]
    default_src_posture: tuple[str, ...]
    ssh: tuple[SshRule, ...]
    node_attrs: tuple[NodeAttr, ...]
    tests: tuple[TestCase, ...]
    ssh_tests: tuple[SshTestCase, ...]
    auto_approvers: AutoApprovers = AutoApprovers()
    randomize_client_port: bool = False
    disable_ipv4: bool = False
    one_cgnat_route: str = ""
    derp_map: Mapping[str, Any] | None = None
    """`derpMap` as plain JSON, checked for shape; None where absent."""
    attr_config: Mapping[str, Any] | None = None
    extra_dns_records: tuple[Mapping[str, str], ...] = ()

    @property
    def allows_everything(self) -> bool:
        """Whether the default of allowing all applies: neither acls nor grants is present."""
        return self.acls is None and self.grants is None

    @property
    def network_rules(self) -> tuple[Grant | Acl, ...]:
        """Grants and acls in the order in which they are compiled, whatever their place."""
        return (*(self.grants or ()), *(self.acls or ()))
