"""The whole document, section after section in the order in which the service checks them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.hujson.tree import Object
from policy.lower.acls import lower_acls
from policy.lower.approvers import lower_auto_approvers
from policy.lower.cases import check_ssh_destinations, lower_ssh_tests, lower_tests
from policy.lower.definitions import (
    lower_groups,
    lower_hosts,
    lower_postures,
    lower_tag_owners,
    tag_owners,
)
from policy.lower.fields import Fields, describe
from policy.lower.grants import lower_grants
from policy.lower.ipsets import ipset_terms, lower_ipsets
from policy.lower.names import Names
from policy.lower.network import read_postures
from policy.lower.node_attrs import lower_node_attrs
from policy.lower.places import SelectorReader
from policy.lower.settings import lower_derp_map, lower_dns_records, lower_one_cgnat_route
from policy.lower.ssh import lower_ssh
from policy.model.document import Policy

if TYPE_CHECKING:
    from policy.diagnostics.diagnostic import Collector
    from policy.hujson.tree import Node

__all__ = ["SECTIONS", "lower_document"]

SECTIONS = (
    "acls",
    "grants",
    "groups",
    "hosts",
    "ipsets",
    "tagOwners",
    "autoApprovers",
    "ssh",
    "nodeAttrs",
    "postures",
    "defaultSrcPosture",
    "tests",
    "sshTests",
    "attrConfig",
    "derpMap",
    "disableIPv4",
    "OneCGNATRoute",
    "randomizeClientPort",
    "extraDNSRecords",
)
"""Every top-level section (policy reference 2.1)."""

_KNOWN = {section.lower(): section for section in SECTIONS}


def lower_document(
    root: Node, found: Collector, domains: frozenset[str] | None = None
) -> Policy | None:
    """Lower a document's root, reporting every problem; None where it is no object.

    `domains` are the tailnet's mail domains, None where they are not known. The policy returned
    leaves out what was reported, so it must not be compiled when `found` has errors.
    """
    if not isinstance(root, Object):
        found.shape("POL201", f"policy: expected an object, found {describe(root)}", root.span)
        return None
    document = Fields(root, _KNOWN, found)
    groups = lower_groups(document, found)
    owners = lower_tag_owners(document, found)
    hosts = lower_hosts(document, found)
    sets = ipset_terms(document, found)
    postures = lower_postures(document, found)
    # A definition that is wrong in itself is still what its uses mean: one mistake, one finding.
    names = Names(
        tags=document.names("tagOwners"),
        groups=document.names("groups"),
        hosts=document.names("hosts"),
        ipsets=document.names("ipsets"),
        postures=document.names("postures"),
        domains=domains,
    )
    reader = SelectorReader(names, found)
    owned = tag_owners(owners, reader)
    ipsets = lower_ipsets(sets, names, found)
    default_posture = read_postures(document.strings("defaultSrcPosture"), reader)
    acls = document.objects("acls")
    grants = document.objects("grants")
    lowered_acls = None if acls is None else lower_acls(acls, reader)
    lowered_grants = None if grants is None else lower_grants(grants, reader)
    ssh = lower_ssh(document.objects("ssh") or (), reader)
    node_attrs = lower_node_attrs(document.objects("nodeAttrs") or (), reader)
    ssh_tests = lower_ssh_tests(document.objects("sshTests") or (), found)
    check_ssh_destinations(ssh_tests, names.tags, reader)
    return Policy(
        source=found.source,
        acls=lowered_acls,
        grants=lowered_grants,
        groups=groups,
        tag_owners=owned,
        hosts=hosts,
        ipsets=ipsets,
        postures=postures,
        default_src_posture=default_posture,
        ssh=ssh,
        node_attrs=node_attrs,
        tests=lower_tests(document.objects("tests") or (), found),
        ssh_tests=ssh_tests,
        auto_approvers=lower_auto_approvers(document, reader),
        randomize_client_port=bool(document.boolean("randomizeClientPort")),
        disable_ipv4=bool(document.boolean("disableIPv4")),
        one_cgnat_route=lower_one_cgnat_route(document, found),
        derp_map=lower_derp_map(document, found),
        attr_config=document.json("attrConfig") if document.object("attrConfig") else None,
        extra_dns_records=lower_dns_records(document, found),
    )
