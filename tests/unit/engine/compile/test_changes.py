"""What is new, and for whom, between two networks of the small tailnet."""

from __future__ import annotations

from typing import Any

import pytest

from engine.bits import members
from engine.compile.changes import Changes, changes_between
from engine.compile.network import CompiledNetwork
from tests.support.small_tailnet import (
    ADA,
    BEN,
    BRICK,
    GATE,
    PORT,
    SHOP,
    SITE,
    SLATE,
    VAULT,
    accept,
    directory,
    network,
    policy,
    v4,
)

RULES = [accept([ADA], ["tag:shop:80"]), accept([BEN], ["tag:vault:80"])]


def names(compiled: CompiledNetwork, mask: int) -> set[str]:
    return {compiled.directory.nodes[index].hostname for index in members(mask)}


def found(old: CompiledNetwork, new: CompiledNetwork) -> dict[str, set[str]]:
    """Return who hears of what; parts of which nobody hears are left out."""
    changes = changes_between(old, new)
    return {part: names(new, mask) for part, mask in changes._asdict().items() if mask}


def test_nothing_is_new_in_an_equal_network() -> None:
    old, new = network(acls=RULES), network(acls=RULES)
    assert changes_between(old, new) == Changes(0, 0, 0)


def test_a_port_is_new_for_the_receiver_alone() -> None:
    new = network(acls=[accept([ADA], ["tag:shop:81"]), RULES[1]])
    assert found(network(acls=RULES), new) == {
        "rules": {"shop"},
    }


def test_moved_rules_are_news_about_origins_alone() -> None:
    first = accept([ADA], ["10.9.9.9:1"])
    assert found(network(acls=RULES), network(acls=[first, *RULES])) == {
        "origins": {"shop", "vault"}
    }


def test_a_port_that_moves_to_another_rule_is_news_about_origins_alone() -> None:
    # One address, so that each rule's part of the filter stands together; and as many lines in each
    # rule as before, so that nothing but the parts tells the two apart.
    both, one = [f"{v4(20)}:80", f"{v4(20)}:443"], [f"{v4(20)}:80", "10.9.9.9:1"]
    old = network(acls=[accept([ADA], both), accept([ADA], one)])
    new = network(acls=[accept([ADA], one), accept([ADA], both[::-1])])
    assert old.packet_filters == new.packet_filters
    assert found(old, new) == {"origins": {"shop"}}


def test_a_device_that_comes_between_others_is_new_for_its_peers() -> None:
    old, new = (
        network(SLATE, SHOP, VAULT, acls=RULES),
        network(SLATE, BRICK, SHOP, VAULT, acls=RULES),
    )
    assert found(old, new) == {
        "views": {"brick", "vault"},
        "rules": {"brick", "vault"},
        "selves": {"brick"},
    }


def test_a_device_that_goes_is_missed_by_its_peers_alone() -> None:
    old, new = (
        network(SLATE, BRICK, SHOP, VAULT, acls=RULES),
        network(SLATE, SHOP, VAULT, acls=RULES),
    )
    assert found(old, new) == {"views": {"vault"}, "rules": {"vault"}}


def test_a_route_is_new_for_its_router_and_who_may_use_it() -> None:
    acls = [accept([ADA], [f"{SITE}:80"]), accept([ADA, BEN], ["tag:gate:22"])]
    bare: Any = GATE | {"advertisedRoutes": [], "enabledRoutes": []}
    old, new = network(SLATE, BRICK, bare, acls=acls), network(SLATE, BRICK, GATE, acls=acls)
    changes = found(old, new)
    assert changes["selves"] == changes["rules"] == {"gate"}
    # Ben's device sees the router too. That the route is not for it is found when it looks.
    assert changes["views"] == {"slate", "brick"}


def test_an_exit_is_new_for_those_who_may_use_it() -> None:
    everybody = accept([ADA, BEN], ["tag:port:22"])
    exits = accept([ADA], ["autogroup:internet:*"])
    old = network(SLATE, BRICK, PORT, acls=[everybody])
    new = network(SLATE, BRICK, PORT, acls=[everybody, exits])
    assert found(old, new) == {"views": {"slate"}, "rules": {"port"}}


def test_ssh_rules_are_new_for_the_receiver() -> None:
    ssh = [{"action": "accept", "src": [ADA], "dst": ["tag:shop"], "users": ["root"]}]
    new = network(acls=RULES, ssh=ssh)
    assert found(network(acls=RULES), new)["rules"] == {"shop"}


def test_a_capability_is_new_for_its_node() -> None:
    new = network(acls=RULES, nodeAttrs=[{"target": ["tag:shop"], "attr": ["magic"]}])
    assert found(network(acls=RULES), new)["selves"] == {"shop"}


def test_after_a_great_move_everything_counts_as_new() -> None:
    few, none = directory(SHOP, VAULT), directory(SLATE)
    many = CompiledNetwork(policy(), few)
    other = CompiledNetwork(policy(), none)
    # Nobody stayed, so whoever is there now is new.
    assert changes_between(many, other) == Changes(1, 1, 1)


def test_a_follower_lets_go_of_what_it_followed() -> None:
    old = network(acls=RULES)
    new = CompiledNetwork(old.policy, old.directory, old)
    assert new.settle() == Changes(0, 0, 0)
    assert new.packet_filters == old.packet_filters
    # What is equal is the same object, so that comparing it again costs nothing.
    assert all(a is b for a, b in zip(new.packet_filters, old.packet_filters, strict=True))
    assert new.settle() is None


def steered(**fields: Any) -> dict[str, Any]:
    """Return a grant of the site by way of its router, or as `fields` say."""
    return {"src": [ADA], "dst": [SITE], "ip": ["80"], "via": ["tag:gate"]} | fields


STEADY = [accept(["10.7.0.0/16"], ["tag:port:80"]), accept(["10.8.0.0/16"], ["tag:shop:80"])]
MERGED = [*STEADY, accept(["10.7.0.0/16"], ["tag:shop:80"])]
FILES = {"mesh.test/cap/files": [{"shares": ["a"]}]}
FOLLOWED = {
    "a rule before gets its first destination": (
        network(SHOP, acls=MERGED),
        network(SHOP, PORT, acls=MERGED),
    ),
    "a host alias points elsewhere behind the same router": (
        network(hosts={"box": "10.20.0.5"}, acls=[accept([ADA], ["box:80"])]),
        network(hosts={"box": "10.20.0.6"}, acls=[accept([ADA], ["box:80"])]),
    ),
    "a rule for all becomes one for some": (
        network(acls=[accept([ADA], ["*:80"])]),
        network(acls=[accept([ADA], ["tag:shop:80"])]),
    ),
    "another port by way of a router": (
        network(grants=[steered()]),
        network(grants=[steered(ip=["443"])]),
    ),
    "no longer by way of a router": (
        network(grants=[steered()]),
        network(grants=[steered(via=[], dst=["tag:shop"])]),
    ),
    "by way of a router from now on": (
        network(grants=[steered(via=[], dst=["tag:shop"])]),
        network(grants=[steered()]),
    ),
    "an application is taken away": (
        network(grants=[steered(via=[], app=FILES)]),
        network(grants=[steered(via=[])]),
    ),
    "an application is granted": (
        network(grants=[steered(via=[])]),
        network(grants=[steered(via=[], app=FILES)]),
    ),
    "users lose their own devices": (
        network(acls=[accept(["autogroup:member"], ["autogroup:self:80"])]),
        network(acls=[accept(["autogroup:member"], ["tag:shop:80"])]),
    ),
    "users get their own devices": (
        network(acls=[accept(["autogroup:member"], ["tag:shop:80"])]),
        network(acls=[accept(["autogroup:member"], ["autogroup:self:80"])]),
    ),
}


@pytest.mark.parametrize("case", FOLLOWED)
def test_no_filter_outlives_what_it_came_from(case: str) -> None:
    old, new = FOLLOWED[case]
    follower = CompiledNetwork(new.policy, new.directory, old)
    follower.settle()
    assert old.packet_filters != new.packet_filters
    assert follower.packet_filters == new.packet_filters
