"""What selectors stand for: policy reference 3.2 and 3.4."""

from __future__ import annotations

from typing import Any

import pytest

from engine.resolve.selectors import Resolver
from policy.model.selectors import Selector, parse_selector
from tests.support.small_tailnet import (
    ADA,
    BEN,
    EVERYTHING,
    SITE,
    WILDCARD,
    both,
    device,
    directory,
    policy,
    v4,
    v6,
)

LENT = device("lent", 30, user=ADA, tags=["tag:shop", "tag:vault"])
STAFF = "group:staff@mesh.test"
LINUX, MACOS = {"node:os": "linux"}, {"node:os": "macos"}
POSTURES = {"posture:linux": ["node:os == 'linux'"], "posture:macos": ["node:os == 'macos'"]}


def selector(text: str) -> Selector:
    found = parse_selector(text)
    assert found is not None
    return found


def resolver(*devices: dict[str, Any], **sections: Any) -> Resolver:
    return Resolver(policy(**sections), directory(*(devices or (*EVERYTHING, LENT))))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (ADA, ["slate", "tower"]),
        ("nobody@mesh.test", []),
        ("group:two", ["slate", "tower", "brick"]),
        ("group:none", []),
        ("tag:shop", ["shop", "lent"]),
        ("autogroup:member", ["slate", "tower", "brick"]),
        ("autogroup:members", ["slate", "tower", "brick"]),
        ("autogroup:tagged", ["shop", "vault", "gate", "port", "lent"]),
        ("autogroup:owner", ["slate", "tower"]),
        ("autogroup:admin", ["slate", "tower"]),
        ("autogroup:auditor", []),
        ("autogroup:shared", []),
        ("user:*@mesh.test", ["slate", "tower", "brick"]),
        ("user:*@esh.test", []),
        (v4(20), ["shop"]),
        (f"{v4(8)}/29", ["slate", "tower", "brick"]),
        ("*", [entry["hostname"] for entry in (*EVERYTHING, LENT)]),
    ],
)
def test_a_selector_names_devices_in_topology_order(text: str, names: list[str]) -> None:
    found = resolver(groups={"group:two": [BEN, ADA, ADA], "group:none": []})
    nodes = found.directory.nodes
    assert [nodes[i].hostname for i in found.nodes(selector(text))] == names


def test_a_group_of_the_identity_provider_is_who_the_inventory_says() -> None:
    users = [{"id": "1", "loginName": ADA, "groups": [STAFF]}, {"id": "2", "loginName": BEN}]
    found = Resolver(policy(), directory(*EVERYTHING, users=users))
    assert found.nodes(selector(STAFF)) == (0, 1)


def test_a_service_is_its_virtual_addresses() -> None:
    found = Resolver(policy(), directory(services={"svc:print": [v4(200), v6(200)]}))
    assert found.extent(selector("svc:print")).texts == (v4(200), v6(200))


@pytest.mark.parametrize("text", ["autogroup:self", "autogroup:danger-all", "*"])
def test_some_selectors_have_no_extent_of_their_own(text: str) -> None:
    with pytest.raises(TypeError, match="no extent"):
        resolver().extent(selector(text))


def sources(*texts: str, postures: tuple[str, ...] = (), **sections: Any) -> tuple[str, ...]:
    devices = [
        device("slate", 10, user=ADA, postureAttributes=LINUX),
        device("tower", 9, user=ADA, postureAttributes=MACOS),
        device("gate", 22, tags=["tag:gate"], routes=[SITE], postureAttributes=MACOS),
    ]
    found = resolver(*devices, postures=POSTURES, **sections)
    return found.sources([selector(text) for text in texts], postures)


def test_a_source_of_devices_is_both_addresses_of_each() -> None:
    assert sources(ADA) == both(9, 10)


def test_a_source_address_stays_alone() -> None:
    assert sources(v4(9), v4(77)) == tuple(sorted((v4(9), v4(77))))


def test_what_is_named_twice_is_listed_once() -> None:
    assert sources(ADA, v4(9), "autogroup:member", ADA) == both(9, 10)


def test_a_prefix_and_addresses_inside_both_stay() -> None:
    assert sources(v4(9), "100.70.0.0/24") == ("100.70.0.0/24", v4(9))


def test_the_subnet_of_a_device_does_not_come_with_it() -> None:
    assert sources("tag:gate") == both(22)


def test_the_wildcard_brings_the_subnets() -> None:
    assert sources("*") == (SITE, *WILDCARD)


def test_danger_all_is_one_star() -> None:
    assert sources(ADA, "autogroup:danger-all", "*") == ("*",)


def test_a_posture_drops_the_devices_that_fail() -> None:
    assert sources(ADA, postures=("posture:linux",)) == both(10)


def test_any_of_several_postures_will_do() -> None:
    assert sources(ADA, postures=("posture:linux", "posture:macos")) == both(9, 10)


def test_under_a_posture_the_wildcard_is_who_passes_and_the_subnets() -> None:
    assert sources("*", postures=("posture:linux",)) == (SITE, *both(10))


def test_under_a_posture_danger_all_is_like_the_wildcard() -> None:
    dangerous = sources("autogroup:danger-all", postures=("posture:linux",))
    assert dangerous == sources("*", postures=("posture:linux",))


def test_under_a_posture_danger_all_leaves_other_sources_alone() -> None:
    found = sources("autogroup:danger-all", "192.0.2.0/24", postures=("posture:linux",))
    assert "192.0.2.0/24" in found


def test_a_posture_cuts_failing_devices_out_of_a_prefix() -> None:
    found = sources(f"{v4(8)}/30", postures=("posture:linux",))
    assert found == (v4(10) + "/31", v4(8))


def test_a_prefix_without_failing_devices_stays_as_written() -> None:
    assert sources("10.0.0.0/8", postures=("posture:linux",)) == ("10.0.0.0/8",)


def test_a_rules_own_postures_replace_the_default() -> None:
    found = resolver(postures=POSTURES, defaultSrcPosture=["posture:linux"])
    assert found.postures_of(()) == ("posture:linux",)
    assert found.postures_of(("posture:macos",)) == ("posture:macos",)


def test_without_postures_everybody_passes() -> None:
    assert resolver().passes(0, ())
