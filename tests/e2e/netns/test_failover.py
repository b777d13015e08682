"""What a TCP connection inside the tunnel lives through, and how long it is silent meanwhile."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import pytest

from node.demo.network import wait_until
from tests.support.mesh import needs_mesh
from tests.support.two_regions import TwoRegions, longest_silence, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.netns, needs_mesh()]

BLOCKED_UDP_BAR_S = 5.0
"""The promise; everything else is measured and printed, and must end at all."""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoRegions]:
    with running(tmp_path_factory.mktemp("two")) as up:
        # The nearer region is whichever was there first: only then is the second one started.
        wait_until(lambda: (up.home("engineer"), up.home("production")) == ("r1", "r1"), "home")
        up.start_region(2)
        yield up


def measured(
    network: TwoRegions, what: str, event: Callable[[], object], until: Callable[[], bool]
) -> float:
    took_s = 0.0

    def timed() -> None:
        nonlocal took_s
        began = time.monotonic()
        event()
        took_s = time.monotonic() - began

    silence_s = longest_silence(network, timed, until, what)
    text = f"{what}: silent for {silence_s:.2f} s at most; the change itself took {took_s:.2f} s"
    sys.stdout.write(f"{text}\n")
    return silence_s


def homes(network: TwoRegions) -> tuple[str, str]:
    return network.home("engineer"), network.home("production")


def relayed(network: TwoRegions) -> bool:
    return not network.way("engineer", "production") and not network.way("production", "engineer")


def test_1_blocked_udp_goes_by_the_relay_within_five_seconds(network: TwoRegions) -> None:
    conversation = network.talk()
    wait_until(network.is_direct, "a direct path")
    assert conversation.end() < BLOCKED_UDP_BAR_S
    silence_s = measured(network, "UDP blocked", network.lab.block_udp, lambda: relayed(network))
    assert silence_s < BLOCKED_UDP_BAR_S


def test_2_unblocked_udp_is_direct_again(network: TwoRegions) -> None:
    measured(network, "UDP unblocked", network.lab.unblock_udp, network.is_direct)


def test_3_new_public_address_of_the_nat(network: TwoRegions) -> None:
    def renumber() -> None:
        for verb, address in (("del", "203.0.113.101/24"), ("add", "203.0.113.111/24")):
            network.lab.run("home", "ip", "addr", verb, address, "dev", "eth0")

    def is_found() -> bool:
        return network.way("production", "engineer").startswith("203.0.113.111:")

    measured(
        network, "another public address", renumber, lambda: is_found() and network.is_direct()
    )


def test_4_killed_home_relay_with_another_region(network: TwoRegions) -> None:
    network.lab.block_udp()
    assert homes(network) == ("r1", "r1")
    measured(
        network,
        "home relay killed",
        lambda: network.kill_region(1),
        lambda: homes(network) == ("r2", "r2"),
    )


def test_5_restarted_relay_that_is_the_only_one(network: TwoRegions) -> None:
    measured(
        network,
        "relay restarted",
        lambda: network.restart_region(2),
        lambda: homes(network) == ("r2", "r2"),
    )


def test_6_killed_relay_that_comes_back(network: TwoRegions) -> None:
    def crash() -> None:
        network.kill_region(2)
        network.start_region(2)

    measured(network, "relay killed and started", crash, lambda: True)


def test_7_home_relay_that_vanishes_without_a_word(network: TwoRegions) -> None:
    network.start_region(1)

    def cut() -> None:
        network.lab.run("visitor", "ip", "link", "set", "eth0", "down")

    measured(network, "home relay cut off", cut, lambda: homes(network) == ("r1", "r1"))
