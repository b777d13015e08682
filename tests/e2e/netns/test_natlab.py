"""Path discovery through real NATs: every pair that can go direct does, every other is carried."""

from __future__ import annotations

import pytest

from tests.e2e.netns.natlab_pairs import CLASSES, expected, meet, services
from tests.support.natlab import NatLab, is_possible, namespaces_left

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(not is_possible(), reason="needs root, ip and nft"),
]

TELLING = [
    ("fullcone", "symmetric"),
    ("addr-restricted", "symmetric"),
    ("port-restricted", "port-restricted-rnd"),
    ("port-restricted", "symmetric"),
    ("symmetric", "symmetric"),
    ("udp-blocked", "one2one"),
]
"""One pair for each way that theory decides."""

REST = [(a, b) for n, a in enumerate(CLASSES) for b in CLASSES[n:] if (a, b) not in TELLING]


async def check(a: str, b: str) -> None:
    with NatLab() as lab:
        lab.set_class("A", a)
        lab.set_class("B", b)
        async with services(lab):
            outcome = await meet(lab)
    assert outcome.carried_by_relay
    assert outcome.is_direct == expected(a, b)
    assert namespaces_left() == []


@pytest.mark.parametrize(("a", "b"), TELLING)
async def test_pair_reaches_the_path_that_theory_allows(a: str, b: str) -> None:
    await check(a, b)


@pytest.mark.soak
@pytest.mark.parametrize(("a", "b"), REST)
async def test_every_other_pair_too(a: str, b: str) -> None:
    await check(a, b)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("home", "carrier", "is_direct"),
    [("port-restricted", "port-restricted-rnd", True), ("port-restricted", "symmetric", False)],
)
async def test_two_nats_in_a_row_are_as_strict_as_the_stricter(
    home: str, carrier: str, is_direct: bool
) -> None:
    with NatLab(carrier=True) as lab:
        lab.set_class("A", home)
        lab.set_class("C", carrier)
        lab.set_class("B", "port-restricted")
        async with services(lab):
            outcome = await meet(lab)
    assert outcome.is_direct is is_direct
