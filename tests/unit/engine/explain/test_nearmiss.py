from __future__ import annotations

from typing import Any

import pytest

from engine.explain.nearmiss import NearMiss, nearest_rules
from engine.explain.parties import read_party
from engine.resolve.selectors import Resolver
from tests.support.small_tailnet import ADA, BEN, SITE, accept, directory, policy, v4


def nearest(src: str, dst: str, port: int | None = 443, **sections: Any) -> tuple[NearMiss, ...]:
    defined = policy(postures={"posture:x": ["node:os == 'linux'"]}, **sections)
    resolver = Resolver(defined, directory())
    return nearest_rules(
        resolver, read_party(src, resolver)[0], read_party(dst, resolver)[0], 6, port
    )


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (accept([BEN], ["tag:shop:443"]), f"source slate ({v4(10)}) is not in {BEN}"),
        (accept([ADA], ["tag:vault:443"]), f"destination shop ({v4(20)}) is not in tag:vault"),
        (accept([ADA], ["tag:shop:80,90-91"]), "port 443 is not in 80, 90-91"),
        (accept([ADA], ["tag:shop:443"], proto="udp"), "it is for protocol 17"),
        (
            accept([ADA], ["tag:shop:443"], srcPosture=["posture:x"]),
            f"slate ({v4(10)}) passes none of posture:x",
        ),
        (accept([], ["tag:shop:443"]), f"source slate ({v4(10)}) is not in an empty list"),
    ],
)
def test_the_one_thing_that_does_not_match_is_named(rule: dict[str, Any], reason: str) -> None:
    [miss] = nearest("slate", "shop", acls=[rule])
    assert miss.reasons == (reason,)


def test_a_via_grant_opens_no_device() -> None:
    grant = {"src": [ADA], "dst": ["tag:shop"], "ip": ["*"], "via": ["tag:gate"]}
    [miss] = nearest("slate", "shop", grants=[grant])
    assert miss.reasons == ("it goes via tag:gate, which opens routed networks only",)


def test_rules_that_fail_on_fewer_counts_come_first() -> None:
    acls = [accept([BEN], ["tag:shop:1"]), accept([ADA], ["tag:shop:1"])]
    assert [miss.origin.position for miss in nearest("slate", "shop", acls=acls)] == [1, 0]


def test_a_rule_that_allows_is_no_miss() -> None:
    assert nearest("slate", "shop", acls=[accept([ADA], ["tag:shop:443"])]) == ()


def test_at_most_five_are_shown() -> None:
    acls = [accept([BEN], ["tag:shop:443"]) for _ in range(9)]
    assert [miss.origin.position for miss in nearest("slate", "shop", acls=acls)] == [0, 1, 2, 3, 4]


def test_self_reaches_devices_of_one_user_only() -> None:
    acls = [accept(["autogroup:member"], ["autogroup:self:22"])]
    assert nearest("slate", "tower", 443, acls=acls)[0].reasons == ("port 443 is not in 22",)
    assert "is not in autogroup:self" in nearest("slate", "brick", 22, acls=acls)[0].reasons[0]


def test_a_miss_points_at_its_rule() -> None:
    defined = policy(acls=[accept([BEN], ["tag:shop:443"])])
    resolver = Resolver(defined, directory())
    parties = read_party("slate", resolver)[0], read_party("shop", resolver)[0]
    [miss] = nearest_rules(resolver, *parties, 6, 443)
    text = defined.source.text[miss.span.start : miss.span.end]
    assert text.startswith("{")
    assert BEN in text


def test_a_routed_address_is_in_its_network() -> None:
    [miss] = nearest("slate", "10.20.1.1", 22, acls=[accept([ADA], [f"{SITE}:443"])])
    assert miss.reasons == ("port 22 is not in 443",)
