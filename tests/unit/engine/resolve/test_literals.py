from __future__ import annotations

from typing import Any

import pytest

from engine.netset.constants import INTERNET
from engine.netset.ipset import IpSet
from engine.resolve.literals import Literals
from policy.model.selectors import parse_selector
from tests.support.small_tailnet import ADA, policy


def texts(selector: str, **sections: Any) -> tuple[str, ...] | None:
    parsed = parse_selector(selector)
    assert parsed is not None
    return Literals(policy(**sections)).texts(parsed)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("10.1.2.3", ("10.1.2.3",)),
        ("fd00:0::0:1", ("fd00::1",)),
        ("10.1.2.3/16", ("10.1.0.0/16",)),
        ("10.1.2.3/32", ("10.1.2.3",)),
        ("one", ("10.9.8.7",)),
        ("net", ("10.9.0.0/16",)),
        ("autogroup:internet", INTERNET),
        ("autogroup:member", None),
        (ADA, None),
        ("tag:shop", None),
    ],
)
def test_selectors_spell_addresses_or_do_not(
    selector: str, expected: tuple[str, ...] | None
) -> None:
    hosts = {"one": "10.9.8.7/32", "net": "10.9.8.7/16"}
    assert texts(selector, hosts=hosts) == expected


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (["10.0.0.0/24", "10.0.1.0/24"], ("10.0.0.0/23",)),
        (["add 10.0.0.0/30", "remove 10.0.0.1"], ("10.0.0.0", "10.0.0.2/31")),
        (["remove 10.0.0.1", "add 10.0.0.0/31"], ("10.0.0.0/31",)),
        (["add 10.0.0.1", "remove 10.0.0.0/8"], ()),
        (["add site", "remove ipset:hole"], ("10.9.0.0/17",)),
    ],
)
def test_an_ip_set_takes_its_steps_in_order(entries: list[str], expected: tuple[str, ...]) -> None:
    sets = {"ipset:x": entries, "ipset:hole": ["10.9.128.0/17"]}
    assert texts("ipset:x", hosts={"site": "10.9.0.0/16"}, ipsets=sets) == expected


def test_a_long_chain_of_ip_sets_is_no_matter() -> None:
    sets = {f"ipset:n{n}": [f"add ipset:n{n + 1}"] for n in range(3000)}
    assert texts("ipset:n0", ipsets=sets | {"ipset:n3000": ["10.0.0.1"]}) == ("10.0.0.1",)


def test_a_set_is_read_once() -> None:
    literals = Literals(policy())
    parsed = parse_selector("10.0.0.0/8")
    assert parsed is not None
    assert literals.addresses(parsed) == IpSet.of("10.0.0.0/8")
    assert literals.addresses(parsed) is literals.addresses(parsed)


@pytest.mark.parametrize(
    ("text", "any_inside", "all_inside"),
    [
        ("100.64.0.0/10", True, False),
        ("100.64.0.1", True, True),
        ("100.115.92.1", True, False),
        ("fd7a:115c:a1e0::/48", True, True),
        ("fd7a::/16", True, False),
        ("10.0.0.0/8", False, False),
    ],
)
def test_the_tailnet_and_its_wildcard_differ(text: str, any_inside: bool, all_inside: bool) -> None:
    held = IpSet.of(text)
    assert (Literals.in_tailnet(held), Literals.all_in_wildcard(held)) == (any_inside, all_inside)
