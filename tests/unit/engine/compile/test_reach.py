"""What one node may reach, in the rules of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.compile.reach import Reach, reach_of
from tests.support.small_tailnet import ADA, BEN, PORT, SHOP, SLATE, accept, device, network, v4, v6

if TYPE_CHECKING:
    from engine.compile.network import CompiledNetwork


def reach(compiled: CompiledNetwork, hostname: str) -> tuple[Reach, ...]:
    index = compiled.directory.by_hostname[hostname].index
    return reach_of(compiled.directory, compiled.packet_filters, index)


def told(compiled: CompiledNetwork, hostname: str) -> list[dict[str, Any]]:
    return [each.rule.to_wire() for each in reach(compiled, hostname)]


def test_receivers_of_the_same_rule_share_one_entry() -> None:
    compiled = network(SLATE, SHOP, PORT, acls=[accept([ADA], ["tag:shop:80", "tag:port:80"])])
    [found] = reach(compiled, "slate")
    assert [compiled.directory.nodes[i].hostname for i in found.nodes] == ["shop", "port"]
    assert found.rule.to_wire() == {
        "SrcIPs": [v4(10), v6(10)],
        "DstPorts": [
            {"IP": "own4", "Ports": {"First": 80, "Last": 80}},
            {"IP": "own6", "Ports": {"First": 80, "Last": 80}},
        ],
    }
    assert [(origin.section, origin.position) for origin in found.rule.origins] == [("acls", 0)]
    assert found.rule.shares == (2,)


def test_other_sources_of_a_rule_are_left_out() -> None:
    brick = device("brick", 11, user=BEN)
    compiled = network(SLATE, brick, SHOP, acls=[accept([ADA, BEN], ["tag:shop:80"])])
    assert [rule["SrcIPs"] for rule in told(compiled, "slate")] == [[v4(10), v6(10)]]
    assert [rule["SrcIPs"] for rule in told(compiled, "brick")] == [[v4(11), v6(11)]]


def test_who_may_reach_nothing_is_told_nothing() -> None:
    compiled = network(SLATE, SHOP, acls=[accept([ADA], ["tag:shop:80"])])
    assert told(compiled, "shop") == []


def test_a_literal_source_counts_for_its_own_version_only() -> None:
    compiled = network(SLATE, SHOP, acls=[accept([v4(10)], ["tag:shop:80"])])
    assert [rule["SrcIPs"] for rule in told(compiled, "slate")] == [[v4(10)]]


def test_blocks_that_hold_the_node_count() -> None:
    compiled = network(SLATE, SHOP, acls=[accept(["100.64.0.0/10"], ["tag:shop:80"])])
    assert [rule["SrcIPs"] for rule in told(compiled, "slate")] == [[v4(10)]]
