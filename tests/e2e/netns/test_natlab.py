"""Path discovery through real NATs: every pair that can go direct does, every other is carried."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from node.paths.birthday import SOCKETS
from node.paths.news import PathKind
from tests.e2e.netns.natlab_pairs import (
    BY_NAME,
    EASY,
    HARD,
    PAIRS,
    both,
    expected,
    laboratory,
    meet,
    services,
    talk_until,
    talking,
)
from tests.support.natlab import NatLab, is_possible, namespaces_left

if TYPE_CHECKING:
    from node.transport.endpoint import Endpoint
    from tests.support.disco_host import DiscoHost

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
    ("one2one", "udp-blocked"),
    ("port-restricted", "symmetric-sequential"),
    ("port-restricted", "web-only"),
    ("two-easy-nats", "two-easy-nats"),
    ("port-restricted", "easy-then-symmetric"),
    ("ipv6-open", "ipv6-open"),
    ("ipv6-firewalled", "ipv6-firewalled"),
    ("symmetric", "ipv6-open"),
]
"""One pair for each way that theory decides."""

REST = [(a.name, b.name) for a, b in PAIRS if (a.name, b.name) not in TELLING]


ROUNDS = 3
"""A round of guesses misses two times in a hundred, for all that luck can do."""


async def check(first: str, second: str, *, guesses: bool = False) -> None:
    a, b = BY_NAME[first], BY_NAME[second]
    with laboratory(a, b) as lab:
        async with services(lab):
            outcome = await meet(lab, a, b, guesses=guesses)
    assert outcome.carried_by_relay
    assert outcome.is_direct == expected(a, b, guesses=guesses)
    assert outcome.most_sockets <= SOCKETS
    assert outcome.sockets_left <= (1 if outcome.most_sockets else 0)
    assert namespaces_left() == []


@pytest.mark.parametrize(("a", "b"), TELLING)
async def test_pair_reaches_the_path_that_theory_allows(a: str, b: str) -> None:
    await check(a, b)


@pytest.mark.soak
@pytest.mark.parametrize(("a", "b"), REST)
async def test_every_other_pair_too(a: str, b: str) -> None:
    await check(a, b)


@pytest.mark.soak
@pytest.mark.parametrize("a", sorted(EASY))
@pytest.mark.parametrize("b", sorted(HARD))
async def test_guessed_port_makes_every_easy_and_hard_pair_direct(a: str, b: str) -> None:
    with laboratory(BY_NAME[a], BY_NAME[b]) as lab:
        async with services(lab):
            for _ in range(ROUNDS):
                # Without prediction, which finds a NAT that counts before anybody has to guess.
                outcome = await meet(lab, BY_NAME[a], BY_NAME[b], predicts=False, guesses=True)
                assert outcome.carried_by_relay
                assert outcome.most_sockets <= SOCKETS
                assert outcome.sockets_left == outcome.is_direct
                if outcome.is_direct:
                    return
    pytest.fail(f"{ROUNDS} rounds missed, each of which should two times in a hundred")


async def test_two_hard_sides_do_not_guess() -> None:
    await check("symmetric", "symmetric", guesses=True)


async def test_blackholed_udp_falls_back_to_the_relay_in_seconds_and_returns() -> None:
    with NatLab() as lab:
        lab.set_class("A", "port-restricted")
        lab.set_class("B", "port-restricted")
        async with services(lab), talking(lab) as (a, b):
            await talk_until(a, b, both(a, b, PathKind.DIRECT), 10)
            a.heard_by_relay.clear()
            with lab.udp_blocked("A"):
                # Packets go by the relay as soon as the path is doubted, before it is given up.
                await talk_until(a, b, both(a, b, PathKind.DOUBTED, PathKind.RELAYED), 5)
                await talk_until(a, b, both(a, b, PathKind.RELAYED), 15)
            assert a.heard_by_relay
            await talk_until(a, b, both(a, b, PathKind.DIRECT), 10)


async def test_new_public_mapping_on_one_side_is_found_without_being_told() -> None:
    with NatLab() as lab:
        lab.set_class("A", "port-restricted")
        lab.set_class("B", "fullcone")
        async with services(lab), talking(lab) as (a, b):
            await talk_until(a, b, both(a, b, PathKind.DIRECT), 10)
            before = best_of(b, a)
            # Another socket behind the same NAT is another public port, as after a reboot of it.
            await a.open(lab.udp("lanA"))
            await talk_until(a, b, lambda: best_of(b, a) not in {None, before}, 15)
            await talk_until(a, b, both(a, b, PathKind.DIRECT), 10)


def best_of(host: DiscoHost, peer: DiscoHost) -> Endpoint | None:
    path = host.book.path(peer.key)
    return path.best.endpoint if path and path.best else None
