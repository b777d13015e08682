from __future__ import annotations

from typing import Any

import pytest

from engine.explain.answer import Explanation, explain
from tests.support.small_tailnet import (
    ADA,
    BEN,
    BRICK,
    GATE,
    PORT,
    SHOP,
    SITE,
    SLATE,
    accept,
    device,
    directory,
    policy,
    v4,
    v6,
)

TO_SHOP = [accept([BEN], ["tag:vault:1"]), accept([ADA], ["tag:shop:443,8000-8080"])]


def ask(
    src: str,
    dst: str,
    port: int | None = None,
    proto: str | None = None,
    devices: tuple[dict[str, Any], ...] = (),
    **sections: Any,
) -> Explanation:
    return explain(policy(**sections), directory(*devices), src, dst, port, proto)


def test_an_allowed_flow_names_its_rule() -> None:
    found = ask("slate", "shop", 443, acls=TO_SHOP)
    assert found.verdict == "allowed"
    assert [(a.src, a.dst) for a in found.questions] == [
        (f"slate ({v4(10)})", f"shop ({v4(20)})"),
        (f"slate ({v6(10)})", f"shop ({v6(20)})"),
    ]
    assert {(o.section, o.position) for a in found.questions for o in a.origins} == {("acls", 1)}
    assert found.questions[0].reason == "tcp port 443 is open"
    assert found.nearest == ()


def test_a_denied_flow_names_the_nearest_rule_and_what_did_not_match() -> None:
    found = ask("slate", "shop", 22, acls=TO_SHOP)
    assert found.verdict == "denied"
    assert found.questions[0].reason == "no rule"
    near = found.nearest[0]
    assert (near.origin.section, near.origin.position) == ("acls", 1)
    assert near.reasons == ("port 22 is not in 443, 8000-8080",)


@pytest.mark.parametrize(
    ("src", "dst", "verdict"),
    [
        ("slate", "tag:shop", "allowed"),
        (ADA, "shop", "allowed"),
        ("autogroup:member", "shop", "partly"),
        (BEN, "shop", "denied"),
        (v4(10), v4(20), "allowed"),
        (v4(99), v4(20), "denied"),
    ],
)
def test_parties_are_hosts_addresses_or_selectors(src: str, dst: str, verdict: str) -> None:
    assert ask(src, dst, 443, acls=TO_SHOP).verdict == verdict


def test_without_a_port_the_open_ones_are_listed() -> None:
    found = ask("slate", "shop", acls=TO_SHOP)
    assert found.questions[0].reason == "open ports: 443, 8000-8080"


def test_without_a_port_nothing_open_is_denied() -> None:
    assert ask("brick", "shop", acls=TO_SHOP).verdict == "denied"


def test_a_protocol_is_asked_by_name() -> None:
    acls = [accept([ADA], ["tag:shop:53"], proto="udp")]
    assert ask("slate", "shop", 53, "udp", acls=acls).verdict == "allowed"
    denied = ask("slate", "shop", 53, acls=acls)
    assert denied.verdict == "denied"
    assert denied.nearest[0].reasons == ("it is for protocol 17",)


def test_a_routed_address_is_judged_at_its_router() -> None:
    found = ask("slate", "10.20.7.7", 22, acls=[accept([ADA], [f"{SITE}:22"])])
    assert found.verdict == "allowed"
    assert found.questions[0].reason == "tcp port 22 is open through gate"


def test_the_longest_route_carries() -> None:
    inner = device("inner", 45, tags=["tag:gate"], routes=["10.20.7.0/24"])
    acls = [accept([ADA], ["10.20.7.0/24:22"])]
    found = ask("slate", "10.20.7.7", 22, devices=(SLATE, GATE, inner), acls=acls)
    assert found.questions[0].reason == "tcp port 22 is open through inner"


def test_a_route_that_is_not_shown_leads_nowhere() -> None:
    found = ask("brick", "10.20.7.7", 22, acls=[accept([ADA], [f"{SITE}:22"])])
    assert found.verdict == "denied"
    assert "no route to it is shown" in found.questions[0].reason


def test_the_internet_is_reached_through_an_exit_node() -> None:
    acls = [accept([ADA], ["autogroup:internet:*"])]
    found = ask("slate", "autogroup:internet", 443, devices=(SLATE, BRICK, PORT), acls=acls)
    assert found.verdict == "allowed"
    assert found.questions[0].reason.endswith("through port")
    assert found.notes == ("the internet is reached through an exit node, once it is chosen",)


def test_a_policy_without_rules_says_so() -> None:
    found = ask("slate", "shop", 22, devices=(SLATE, SHOP))
    assert found.verdict == "allowed"
    assert "neither acls nor grants" in found.notes[0]


def test_addresses_of_two_versions_are_no_pair() -> None:
    found = ask(v4(10), v6(20), 443, acls=TO_SHOP)
    assert (found.verdict, found.questions) == ("denied", ())
    assert found.notes == ("source and destination share no IP version",)


def test_a_crowd_is_not_asked_about_in_full() -> None:
    crowd = tuple(device(f"n-{n}", n, user=ADA) for n in range(1, 11))
    found = ask(ADA, ADA, 22, devices=crowd, acls=[])
    assert len(found.questions) == 64
    assert found.notes == ("only the first 64 of 200 pairs of addresses were asked",)


def test_tsmp_needs_no_rule() -> None:
    found = ask("slate", "shop", 1, "tsmp", acls=[])
    assert (found.verdict, found.questions[0].reason) == ("allowed", "TSMP always passes")
