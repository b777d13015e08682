"""Who sees whom, with what: policy reference 5 and 7.3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.compile.peers import PeerView, primary_routes
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
    accept,
    device,
    directory,
    network,
    v4,
    v6,
)

if TYPE_CHECKING:
    from engine.compile.network import CompiledNetwork

TO_SITE = [accept([ADA], [f"{SITE}:*"])]
SECOND = device("second", 40, tags=["tag:vault"], routes=[SITE])


def views(compiled: CompiledNetwork, name: str) -> dict[str, PeerView]:
    index = compiled.directory.by_hostname[name].index
    nodes = compiled.directory.nodes
    return {nodes[view.node].hostname: view for view in compiled.peers.peers(index)}


def hosts(number: int) -> tuple[str, str]:
    return (f"{v4(number)}/32", f"{v6(number)}/128")


def test_one_allowed_direction_makes_both_peers() -> None:
    compiled = network(SLATE, SHOP, BRICK, acls=[accept([ADA], ["tag:shop:1"], proto="udp")])
    assert set(views(compiled, "slate")) == {"shop"}
    assert set(views(compiled, "shop")) == {"slate"}
    assert views(compiled, "brick") == {}


def test_devices_of_one_user_are_not_peers_by_themselves() -> None:
    other = device("other", 41, user=ADA)
    compiled = network(SLATE, other, SHOP, acls=[accept([ADA], ["tag:shop:1"])])
    assert "other" not in views(compiled, "slate")


def test_a_capability_alone_makes_peers() -> None:
    grant = {"src": [ADA], "dst": ["tag:shop"], "app": {"mesh.test/cap/x": []}}
    assert "shop" in views(network(grants=[grant]), "slate")


def test_ssh_alone_makes_none() -> None:
    rule = {"action": "accept", "src": [ADA], "dst": ["tag:shop"], "users": ["root"]}
    assert views(network(acls=[], ssh=[rule]), "slate") == {}


def test_a_router_is_seen_with_the_subnet_that_may_be_reached() -> None:
    view = views(network(acls=TO_SITE), "slate")["gate"]
    assert view.allowed_ips == (*hosts(22), SITE)
    assert view.primary_routes == (SITE,)


def test_a_router_is_seen_without_a_subnet_that_may_not() -> None:
    view = views(network(acls=[accept([ADA], ["tag:gate:22"])]), "slate")["gate"]
    assert view.allowed_ips == hosts(22)
    assert view.primary_routes == ()


def test_a_source_subnet_makes_its_router_a_peer_and_shows_the_route() -> None:
    view = views(network(acls=[accept([SITE], ["tag:shop:1"])]), "shop")["gate"]
    assert SITE in view.allowed_ips


def test_of_several_routers_the_oldest_carries_the_route() -> None:
    compiled = network(SLATE, SECOND, GATE, acls=TO_SITE)
    found = views(compiled, "slate")
    assert SITE in found["gate"].allowed_ips
    assert SITE not in found["second"].allowed_ips


def test_a_standby_is_shown_the_route_of_the_primary() -> None:
    compiled = network(SLATE, SECOND, GATE, acls=[*TO_SITE, accept(["tag:vault"], ["tag:gate:1"])])
    assert SITE in views(compiled, "second")["gate"].allowed_ips
    assert SITE not in views(compiled, "gate")["second"].allowed_ips


def test_an_offline_primary_gives_way() -> None:
    down = device("gate", 22, tags=["tag:gate"], routes=[SITE], online=False)
    found = views(network(SLATE, SECOND, down, acls=TO_SITE), "slate")
    assert SITE in found["second"].allowed_ips
    assert SITE not in found["gate"].allowed_ips


def test_via_steers_the_route_to_the_tagged_router() -> None:
    grant = {"src": [ADA], "dst": [SITE], "ip": ["*"], "via": ["tag:vault"]}
    found = views(network(SLATE, GATE, SECOND, grants=[grant]), "slate")
    assert set(found) == {"second"}
    assert SITE in found["second"].allowed_ips


def test_a_plain_grant_overrides_the_steering() -> None:
    grant = {"src": [ADA], "dst": [SITE], "ip": ["*"]}
    found = views(
        network(SLATE, GATE, SECOND, grants=[grant | {"via": ["tag:vault"]}, grant]), "slate"
    )
    assert SITE in found["gate"].allowed_ips
    assert SITE not in found["second"].allowed_ips


def test_via_with_an_application_makes_the_router_visible() -> None:
    app: dict[str, Any] = {"mesh.test/cap/x": []}
    grant = {"src": [ADA], "dst": ["tag:shop"], "app": app, "via": ["tag:gate"]}
    assert "gate" in views(network(grants=[grant]), "slate")


def test_permitted_exit_nodes_are_all_offered() -> None:
    spare = device("spare", 42, tags=["tag:port"], routes=EXITS)
    compiled = network(SLATE, BRICK, PORT, spare, acls=[accept([ADA], ["autogroup:internet:*"])])
    found = views(compiled, "slate")
    assert {name for name, view in found.items() if set(EXITS) <= set(view.allowed_ips)} == {
        "port",
        "spare",
    }
    assert all(view.primary_routes == () for view in found.values())
    assert views(compiled, "brick") == {}


def test_an_exit_node_that_may_only_be_logged_in_to_offers_no_exit() -> None:
    view = views(network(acls=[accept([ADA], ["tag:port:22"])]), "slate")["port"]
    assert view.allowed_ips == hosts(23)


@pytest.mark.parametrize("target", ["tag:shop", ADA])
def test_without_ipv4_on_either_side_the_address_is_left_out(target: str) -> None:
    compiled = network(
        SLATE,
        SHOP,
        acls=[accept([ADA], ["tag:shop:1"])],
        nodeAttrs=[{"target": [target], "attr": ["disable-ipv4"]}],
    )
    assert views(compiled, "slate")["shop"].allowed_ips == (f"{v6(20)}/128",)


def test_without_ipv4_the_rules_stay_the_same() -> None:
    attrs = [{"target": ["*"], "attr": ["disable-ipv4"]}]
    acls = [accept([ADA], ["tag:shop:1"])]
    with_it, without = network(acls=acls, nodeAttrs=attrs), network(acls=acls)
    assert with_it.packet_filters == without.packet_filters


def test_own_allowed_ips_are_addresses_then_routes_then_exits() -> None:
    whole = device("whole", 43, tags=["tag:gate"], routes=["0.0.0.0/0", SITE, "::/0"])
    compiled = network(whole, acls=[])
    assert compiled.peers.self_allowed_ips(0) == (*hosts(43), SITE, *EXITS)


def test_a_standby_keeps_the_route_among_its_own() -> None:
    compiled = network(SECOND, GATE, acls=[])
    assert SITE in compiled.peers.self_allowed_ips(0)


def primary(*devices: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    found = directory(*devices)
    return {found.nodes[i].hostname: routes for i, routes in primary_routes(found).items()}


def test_the_primary_is_the_oldest_device() -> None:
    assert primary(SECOND, GATE) == {"gate": (SITE,)}


def test_each_prefix_has_a_primary_of_its_own() -> None:
    inner = device("inner", 44, tags=["tag:gate"], routes=["10.20.1.0/24", SITE])
    assert primary(GATE, inner) == {"gate": (SITE,), "inner": ("10.20.1.0/24",)}


def test_exit_routes_have_no_primary() -> None:
    assert primary(PORT) == {}


def test_an_offline_device_is_no_primary() -> None:
    down = device("gate", 22, tags=["tag:gate"], routes=[SITE], online=False)
    assert primary(down, SECOND) == {"second": (SITE,)}
    assert primary(down) == {}


def test_peers_come_in_topology_order() -> None:
    compiled = network(BRICK, SHOP, SLATE, acls=[accept([ADA, BEN], ["tag:shop:1"])])
    assert [view.node for view in compiled.peers.peers(1)] == [0, 2]
