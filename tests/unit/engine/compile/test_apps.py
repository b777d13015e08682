"""Application grants: policy reference 4.6."""

from __future__ import annotations

from typing import Any

from tests.support.small_tailnet import (
    ADA,
    BEN,
    BRICK,
    GATE,
    SHOP,
    SLATE,
    TOWER,
    WILDCARD,
    both,
    filter_of,
    network,
    v4,
    v6,
)

CONSOLE = "mesh.test/cap/console"
DRIVE = "tailscale.com/cap/drive"
RELAY = "tailscale.com/cap/relay"
VALUES = [{"role": "viewer"}]


def grant(src: list[str], dst: list[str], app: dict[str, Any] | None = None, **more: Any) -> Any:
    return {"src": src, "dst": dst, "app": app or {CONSOLE: VALUES}} | more


def hosts(number: int) -> list[str]:
    return [f"{v4(number)}/32", f"{v6(number)}/128"]


def test_a_capability_is_granted_on_the_devices_own_addresses() -> None:
    [rule] = filter_of(network(grants=[grant([ADA], ["tag:shop"])]), "shop")
    assert rule == {
        "SrcIPs": list(both(9, 10)),
        "CapGrant": [{"Dsts": hosts(20), "CapMap": {CONSOLE: VALUES}}],
    }


def test_others_hear_nothing_of_it() -> None:
    compiled = network(grants=[grant([ADA], ["tag:shop"])])
    assert filter_of(compiled, "vault") == filter_of(compiled, "slate") == []


def test_an_empty_list_of_values_stays_one() -> None:
    [rule] = filter_of(network(grants=[grant([ADA], ["tag:shop"], {CONSOLE: []})]), "shop")
    assert rule["CapGrant"][0]["CapMap"] == {CONSOLE: []}


def test_the_application_part_follows_the_network_part() -> None:
    compiled = network(grants=[grant([ADA], ["tag:shop"], ip=["tcp:1", "udp:2"])])
    assert ["CapGrant" in rule for rule in filter_of(compiled, "shop")] == [False, False, True]


def test_equal_capability_rules_are_not_merged() -> None:
    compiled = network(grants=[grant([ADA], ["tag:shop"]), grant([ADA], ["tag:shop"])])
    assert len(filter_of(compiled, "shop")) == 2


def test_the_wildcard_is_the_devices_own_addresses() -> None:
    [rule] = filter_of(network(grants=[grant([ADA], ["*"])]), "gate")
    assert rule["CapGrant"][0]["Dsts"] == hosts(22)


def test_a_literal_address_is_granted_alone() -> None:
    [rule] = filter_of(network(grants=[grant([ADA], [v4(20)])]), "shop")
    assert rule["CapGrant"][0]["Dsts"] == [f"{v4(20)}/32"]


def test_a_prefix_goes_to_its_router_as_written() -> None:
    [rule] = filter_of(network(grants=[grant([ADA], ["10.20.9.0/24"])]), "gate")
    assert rule["CapGrant"][0]["Dsts"] == ["10.20.9.0/24"]


def test_a_source_of_nobody_still_gives_the_rule() -> None:
    compiled = network(groups={"group:none": []}, grants=[grant(["group:none"], ["tag:shop"])])
    assert [rule["SrcIPs"] for rule in filter_of(compiled, "shop")] == [[]]


def test_an_empty_list_of_sources_gives_none() -> None:
    assert filter_of(network(grants=[grant([], ["tag:shop"])]), "shop") == []


def test_each_destination_is_an_element_of_its_own() -> None:
    [rule] = filter_of(network(grants=[grant([ADA], ["tag:shop", v4(20)])]), "shop")
    assert [item["Dsts"] for item in rule["CapGrant"]] == [hosts(20), [f"{v4(20)}/32"]]


def test_self_is_granted_among_a_users_own_devices() -> None:
    compiled = network(grants=[grant(["autogroup:member"], ["autogroup:self"])])
    [rule] = filter_of(compiled, "tower")
    assert rule["SrcIPs"] == list(both(9, 10))
    assert rule["CapGrant"][0]["Dsts"] == hosts(9)
    assert filter_of(compiled, "shop") == []


def test_drive_is_answered_by_a_companion_in_the_other_direction() -> None:
    compiled = network(SLATE, TOWER, SHOP, grants=[grant([ADA], ["tag:shop"], {DRIVE: VALUES})])
    assert filter_of(compiled, "slate") == [
        {
            "SrcIPs": list(both(20)),
            "CapGrant": [{"Dsts": hosts(10), "CapMap": {"tailscale.com/cap/drive-sharer": None}}],
        }
    ]


def test_companions_come_in_order_of_drive_and_relay() -> None:
    app: dict[str, Any] = {RELAY: [], CONSOLE: [], DRIVE: []}
    compiled = network(grants=[grant([BEN], ["tag:shop"], app)])
    names = [list(rule["CapGrant"][0]["CapMap"]) for rule in filter_of(compiled, "brick")]
    assert names == [["tailscale.com/cap/drive-sharer"], ["tailscale.com/cap/relay-target"]]


def test_the_companion_of_a_wildcard_destination_comes_from_anywhere() -> None:
    compiled = network(BRICK, GATE, grants=[grant([BEN], ["*"], {RELAY: []})])
    companion = filter_of(compiled, "brick")[1]
    assert companion["SrcIPs"] == ["10.20.0.0/16", *WILDCARD]


def test_the_companion_of_a_wildcard_source_goes_to_everybody() -> None:
    compiled = network(SLATE, SHOP, grants=[grant(["*"], ["tag:shop"], {RELAY: []})])
    [companion] = filter_of(compiled, "slate")
    assert companion["CapGrant"][0]["Dsts"] == hosts(10)


def test_a_companion_names_ipv4_first_whatever_the_order_of_the_sources() -> None:
    compiled = network(SLATE, SHOP, grants=[grant([v6(10), v4(10)], ["tag:shop"], {RELAY: []})])
    assert filter_of(compiled, "slate")[0]["CapGrant"][0]["Dsts"] == hosts(10)


def test_self_has_its_companions_among_the_same_devices() -> None:
    compiled = network(grants=[grant(["autogroup:member"], ["autogroup:self"], {DRIVE: []})])
    found = [
        (rule["SrcIPs"], rule["CapGrant"][0]["CapMap"]) for rule in filter_of(compiled, "slate")
    ]
    sharer = {"tailscale.com/cap/drive-sharer": None}
    assert found == [(list(both(9, 10)), {DRIVE: []}), (list(both(9, 10)), sharer)]


def test_an_ordinary_capability_has_no_companion() -> None:
    assert filter_of(network(grants=[grant([ADA], ["tag:shop"])]), "slate") == []


def test_via_grants_no_capability_anywhere() -> None:
    compiled = network(grants=[grant([ADA], ["10.20.0.0/16"], ip=["*"], via=["tag:gate"])])
    assert ["CapGrant" in rule for rule in filter_of(compiled, "gate")] == [False]


def test_a_host_alias_of_one_version_brings_no_other() -> None:
    compiled = network(SHOP, SLATE, hosts={"till": v6(20)}, grants=[grant([ADA], ["till"])])
    assert filter_of(compiled, "shop")[0]["CapGrant"][0]["Dsts"] == [f"{v6(20)}/128"]
