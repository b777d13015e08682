from __future__ import annotations

import pytest

from engine.netset.ranges import AddressRange
from engine.resolve.places import Locator
from tests.support.small_tailnet import EXITS, GATE, PORT, SHOP, SLATE, device, directory, v4, v6

WIDE = device("wide", 40, tags=["tag:gate"], routes=["10.0.0.0/8", "2001:db8::/32"])
NEAR = device("near", 41, tags=["tag:gate"], advertisedRoutes=["10.50.0.0/16"])
BOTH = device("both", 42, tags=["tag:gate"], routes=["198.51.100.0/24", *EXITS])
NODES = (SLATE, SHOP, GATE, WIDE, NEAR, PORT, BOTH)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (v4(10), {"slate"}),
        (v6(20), {"shop"}),
        (f"{v4(8)}/29", {"slate"}),
        (f"{v4(8)}-{v4(20)}", {"slate", "shop"}),
        ("10.20.0.1", {"gate", "wide"}),
        ("10.19.255.255", {"wide"}),
        ("10.21.0.0/16", {"wide"}),
        ("10.50.0.1", {"wide"}),
        ("9.255.255.255-10.0.0.0", {"wide"}),
        ("2001:db8:7::/48", {"wide", "port", "both"}),
        ("192.168.0.0/16", set()),
        ("198.51.100.7", {"port", "both"}),
        ("198.51.0.0/16", {"port", "both"}),
        ("8.8.8.8", {"port", "both"}),
        ("100.64.0.0/10", {"slate", "shop", "gate", "wide", "near", "port", "both"}),
    ],
)
def test_a_string_concerns_who_holds_or_routes_it(text: str, names: set[str]) -> None:
    found = directory(*NODES)
    assert {found.nodes[i].hostname for i in Locator(found).concerned(text)} == names


def test_whom_a_string_concerns_comes_ascending_and_once() -> None:
    twice = device("twice", 43, tags=["tag:gate"], routes=["10.0.0.0/8", "10.20.0.0/16"])
    assert Locator(directory(twice, GATE)).concerned("10.20.0.0/24") == (0, 1)


def test_a_long_route_is_found_behind_short_ones() -> None:
    """The walk along starts must not stop at routes that end too early."""
    long = device("long", 44, tags=["tag:gate"], routes=["10.0.0.0/8"])
    short = [
        device(f"short-{n}", 50 + n, tags=["tag:gate"], routes=[f"10.{n}.0.0/24"])
        for n in range(1, 6)
    ]
    found = directory(*short, long)
    wanted = AddressRange.parse("10.200.0.0/16")
    assert list(Locator(found).routing(wanted)) == [5]
