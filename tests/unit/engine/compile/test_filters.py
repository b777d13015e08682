"""Filters of single rules: policy reference 3.3, 4.1, 4.3 to 4.5, 4.7 and 11.2."""

from __future__ import annotations

from tests.support.small_tailnet import (
    ADA,
    BEN,
    BRICK,
    EXITS,
    GATE,
    PORT,
    SHOP,
    SITE,
    SLATE,
    TOWER,
    VAULT,
    WILDCARD,
    accept,
    both,
    device,
    entries,
    filter_of,
    network,
    v4,
    v6,
)

INTERNET_ENTRIES = 7
EVERY_PORT = "0-65535"


def test_without_rules_everybody_reaches_everybody() -> None:
    found = filter_of(network(SLATE, BRICK), "brick")
    assert [(rule["SrcIPs"], rule["DstPorts"]) for rule in found] == [
        (list(WILDCARD), [{"IP": "*", "Ports": {"First": 0, "Last": 65535}}])
    ]


def test_a_section_without_rules_allows_nothing() -> None:
    assert filter_of(network(acls=[]), "shop") == []
    assert filter_of(network(grants=[]), "shop") == []


def test_the_source_wildcard_has_every_subnet_route_as_a_string_of_its_own() -> None:
    inner = device("inner", 24, tags=["tag:gate"], routes=["10.20.7.0/24", *EXITS])
    compiled = network(GATE, inner, SHOP, acls=[accept(["*"], ["tag:shop:80"])])
    [rule] = filter_of(compiled, "shop")
    assert rule["SrcIPs"] == ["10.20.0.0/16", "10.20.7.0/24", *WILDCARD]


def test_an_unapproved_route_is_no_source() -> None:
    gate = device("gate", 22, tags=["tag:gate"], advertisedRoutes=[SITE])
    compiled = network(gate, SHOP, acls=[accept(["*"], ["tag:shop:80"])])
    assert filter_of(compiled, "shop")[0]["SrcIPs"] == list(WILDCARD)


def test_danger_all_swallows_every_other_source() -> None:
    compiled = network(acls=[accept([ADA, "autogroup:danger-all"], ["tag:shop:80"])])
    assert filter_of(compiled, "shop")[0]["SrcIPs"] == ["*"]


def test_sources_are_sorted_as_strings() -> None:
    compiled = network(SLATE, TOWER, SHOP, acls=[accept([ADA], ["tag:shop:80"])])
    assert filter_of(compiled, "shop")[0]["SrcIPs"] == [v4(10), v4(9), v6(9), v6(10)]


def test_a_user_with_no_device_gives_no_rule() -> None:
    assert filter_of(network(acls=[accept(["no@mesh.test"], ["tag:shop:80"])]), "shop") == []


def test_an_empty_source_or_destination_list_gives_no_rule() -> None:
    compiled = network(acls=[accept([], ["tag:shop:80"]), accept([ADA], [])])
    assert filter_of(compiled, "shop") == []


def test_grants_come_before_acls() -> None:
    compiled = network(
        acls=[accept([ADA], ["tag:shop:1"])],
        grants=[{"src": [BEN], "dst": ["tag:shop"], "ip": ["2"]}],
    )
    sources = [rule["SrcIPs"] for rule in filter_of(compiled, "shop")]
    assert sources == [list(both(11)), list(both(9, 10))]


def test_equal_sources_and_protocol_merge_into_the_first() -> None:
    compiled = network(
        acls=[
            accept([ADA], ["tag:shop:1"]),
            accept([BEN], ["tag:shop:2"]),
            accept([ADA], ["tag:shop:3"]),
            accept([ADA], ["tag:shop:4"], proto="tcp"),
        ]
    )
    assert [
        (rule.get("IPProto"), len(rule["DstPorts"])) for rule in filter_of(compiled, "shop")
    ] == [(None, 4), (None, 2), ([6], 2)]


def test_a_merged_rule_stands_where_its_key_came_first_for_anybody() -> None:
    compiled = network(
        acls=[
            accept([ADA], ["tag:vault:1"]),
            accept([BEN], ["tag:shop:2"]),
            accept([ADA], ["tag:shop:3"]),
        ]
    )
    assert [r["SrcIPs"] for r in filter_of(compiled, "shop")] == [
        list(both(9, 10)),
        list(both(11)),
    ]


def test_a_rule_for_nobody_holds_no_place() -> None:
    compiled = network(
        SLATE,
        BRICK,
        SHOP,
        acls=[
            accept([ADA], ["tag:vault:1"]),
            accept([BEN], ["tag:shop:2"]),
            accept([ADA], ["tag:shop:3"]),
        ],
    )
    assert [r["SrcIPs"] for r in filter_of(compiled, "shop")] == [list(both(11)), list(both(10))]


def test_a_merged_rule_names_every_policy_rule_in_it() -> None:
    compiled = network(acls=[accept([ADA], ["tag:shop:1"]), accept([ADA], ["tag:shop:2"])])
    shop = compiled.directory.by_hostname["shop"].index
    [rule] = compiled.packet_filters[shop]
    assert [(o.section, o.position) for o in rule.origins] == [("acls", 0), ("acls", 1)]
    assert all(origin.line > 0 for origin in rule.origins)


def test_destinations_stand_by_class_not_as_written() -> None:
    written = ["autogroup:member:5", "tag:shop:4", f"{ADA}:3", "10.20.1.0/24:2", "*:1"]
    gate = device("gate", 22, user=ADA, routes=[SITE])
    compiled = network(gate, acls=[accept([ADA], written)])
    assert entries(compiled, "gate") == [
        "*:1",
        "10.20.1.0/24:2",
        f"{v4(22)}:3",
        f"{v6(22)}:3",
        f"{v4(22)}:5",
        f"{v6(22)}:5",
    ]


def test_a_repeated_destination_gathers_its_ports() -> None:
    compiled = network(acls=[accept([ADA], ["tag:shop:80", "tag:vault:1", "tag:shop:22,80"])])
    assert entries(compiled, "shop") == [f"{a}:{p}" for a in (v4(20), v6(20)) for p in (80, 22, 80)]


def test_port_ranges_are_neither_merged_nor_split() -> None:
    compiled = network(acls=[accept([ADA], ["100.70.0.20:80,80-90"])])
    assert entries(compiled, "shop") == [f"{v4(20)}:80", f"{v4(20)}:80-90"]


def test_the_protocols_of_a_grant_come_in_order_of_appearance() -> None:
    grant = {"src": [ADA], "dst": ["tag:shop"], "ip": ["tcp:1", "udp:2", "3", "tcp:4"]}
    compiled = network(grants=[grant])
    found = [
        (r.get("IPProto"), [d["Ports"]["First"] for d in r["DstPorts"] if d["IP"] == v4(20)])
        for r in filter_of(compiled, "shop")
    ]
    assert found == [([6], [1, 4]), ([17], [2]), (None, [3])]


def test_icmp_is_the_protocol_of_ipv4_alone() -> None:
    compiled = network(acls=[accept([ADA], ["tag:shop:*"], proto="icmp")])
    assert filter_of(compiled, "shop")[0]["IPProto"] == [1]


def test_a_literal_address_brings_no_other_one_along() -> None:
    compiled = network(acls=[accept([v4(9)], [f"{v4(20)}:80"])])
    [rule] = filter_of(compiled, "shop")
    assert (rule["SrcIPs"], entries(compiled, "shop")) == ([v4(9)], [f"{v4(20)}:80"])


def test_a_prefix_goes_as_written_to_routers_that_it_overlaps() -> None:
    acls = [accept([ADA], ["10.20.3.0/24:22", "10.0.0.0/8:80", "10.30.0.0/16:443"])]
    assert entries(network(acls=acls), "gate") == ["10.20.3.0/24:22", "10.0.0.0/8:80"]


def test_a_standby_router_gets_the_rules_too() -> None:
    second = device("second", 25, tags=["tag:gate"], routes=[SITE])
    compiled = network(SLATE, GATE, second, acls=[accept([ADA], [f"{SITE}:*"])])
    assert entries(compiled, "gate") == entries(compiled, "second") == [f"{SITE}:{EVERY_PORT}"]


def test_an_unapproved_route_gets_nothing() -> None:
    gate = device("gate", 22, tags=["tag:gate"], advertisedRoutes=[SITE], enabledRoutes=[])
    assert entries(network(SLATE, gate, acls=[accept([ADA], [f"{SITE}:*"])]), "gate") == []


def test_a_user_or_tag_is_no_way_to_the_subnet_behind() -> None:
    compiled = network(acls=[accept([ADA], ["tag:gate:22"])])
    assert entries(compiled, "gate") == [f"{v4(22)}:22", f"{v6(22)}:22"]


def test_an_approved_exit_node_gets_the_internet() -> None:
    compiled = network(acls=[accept([ADA], ["autogroup:internet:*"])])
    assert len(entries(compiled, "port")) == INTERNET_ENTRIES
    assert entries(compiled, "port")[0] == f"0.0.0.0-9.255.255.255:{EVERY_PORT}"
    assert entries(compiled, "gate") == entries(compiled, "shop") == []


def test_an_unapproved_exit_node_gets_no_internet() -> None:
    port = device("port", 23, tags=["tag:port"], advertisedRoutes=list(EXITS))
    assert (
        entries(network(SLATE, port, acls=[accept([ADA], ["autogroup:internet:*"])]), "port") == []
    )


def test_a_private_prefix_is_not_for_exit_nodes() -> None:
    compiled = network(acls=[accept([ADA], ["192.168.0.0/16:*", "198.51.100.0/24:*"])])
    assert entries(compiled, "port") == [f"198.51.100.0/24:{EVERY_PORT}"]


def test_an_exit_node_that_everybody_may_reach_has_one_entry() -> None:
    compiled = network(acls=[accept([ADA], ["*:*"])])
    assert entries(compiled, "port") == [f"*:{EVERY_PORT}"]


def test_self_is_each_users_own_devices() -> None:
    compiled = network(acls=[accept(["autogroup:member"], ["autogroup:self:22"])])
    assert filter_of(compiled, "tower")[0]["SrcIPs"] == list(both(9, 10))
    assert entries(compiled, "tower") == [f"{v4(9)}:22", f"{v6(9)}:22"]
    assert filter_of(compiled, "brick")[0]["SrcIPs"] == list(both(11))
    assert filter_of(compiled, "shop") == []


def test_self_from_another_user_is_nothing() -> None:
    compiled = network(acls=[accept([BEN], ["autogroup:self:22"])])
    assert filter_of(compiled, "tower") == []


def test_self_merges_with_a_rule_of_the_same_sources() -> None:
    acls = [accept([ADA], ["tag:shop:80"]), accept(["*"], ["autogroup:self:22"])]
    compiled = network(acls=[*acls, accept([BEN], [f"{ADA}:1"]), accept([ADA], [f"{ADA}:2"])])
    found = [
        (rule["SrcIPs"], [d["Ports"]["First"] for d in rule["DstPorts"] if d["IP"] == v4(9)])
        for rule in filter_of(compiled, "tower")
    ]
    assert found == [(list(both(9, 10)), [22, 2]), (list(both(11)), [1])]


VIA = {"src": [ADA], "dst": [SITE], "ip": ["443"], "via": ["tag:gate"]}


def test_via_opens_the_route_on_tagged_routers_alone() -> None:
    other = device("other", 26, tags=["tag:vault"], routes=[SITE])
    compiled = network(SLATE, GATE, other, grants=[VIA])
    assert entries(compiled, "gate") == [f"{SITE}:443"]
    assert entries(compiled, "other") == []


def test_via_opens_neither_the_router_nor_its_neighbours() -> None:
    dst = ["*", "tag:gate", ADA, "10.30.0.0/16", f"{v4(22)}"]
    assert entries(network(grants=[VIA | {"dst": dst}]), "gate") == []


def test_via_takes_the_name_of_a_network() -> None:
    compiled = network(hosts={"site": "10.20.8.0/24"}, grants=[VIA | {"dst": ["site"]}])
    assert entries(compiled, "gate") == ["10.20.8.0/24:443"]


def test_via_an_approved_exit_node_opens_the_internet() -> None:
    grant = {"src": [ADA], "dst": ["autogroup:internet"], "ip": ["*"], "via": ["tag:port"]}
    second = device("second", 27, tags=["tag:vault"], routes=EXITS)
    compiled = network(SLATE, PORT, second, grants=[grant])
    assert len(entries(compiled, "port")) == INTERNET_ENTRIES
    assert entries(compiled, "second") == []


def test_a_device_that_is_only_a_source_has_no_rule() -> None:
    compiled = network(SLATE, SHOP, VAULT, acls=[accept([ADA], ["tag:shop:80"])])
    assert filter_of(compiled, "slate") == filter_of(compiled, "vault") == []


def test_one_device_is_compiled_as_among_all() -> None:
    compiled = network(acls=[accept([ADA], ["tag:shop:80", "autogroup:self:22"])])
    for node, rules in compiled.filters.compile_all():
        assert compiled.filters.compile(node.index) == rules
