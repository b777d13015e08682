"""Hosts without offloads, as old kernels are: the same transfers come to the same end."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import netns, transfer
from tests.support.netns import postern_wg_up, tunnels, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.netns import Lab

pytestmark = [pytest.mark.netns, netns.needs("wg", "ping", "ss", "nstat")]

TRANSFER = str(Path(transfer.__file__))
SIZE = 3_000_000
WITHOUT = ("--no-offload",)


@pytest.fixture(
    params=[(WITHOUT, ()), ((), WITHOUT), (WITHOUT, WITHOUT)], ids=["sender", "receiver", "both"]
)
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Two ends, of which some do without offloads of the TUN device and of the socket."""
    with tempfile.TemporaryDirectory() as directory, netns.lab(Path(directory)) as lab:
        for host, tunnel, options in zip(lab.hosts, tunnels(), request.param, strict=True):
            postern_wg_up(host, tunnel, *options)
        until(
            lambda: (
                " 0% packet loss"
                in lab.a.run("ping", "-n", "-c", "1", "-W", "2", "10.7.0.2", check_status=False)
            ),
            "an answer through the tunnel",
        )
        yield lab


def test_nothing_is_lost_or_changed_without_offloads(lab: Lab) -> None:
    before = [host.counter("TcpInCsumErrors") for host in lab.hosts]
    for target in ("10.7.0.2", "fd07::2"):
        for size in (1, 64, 1392, 1393, 4000):
            said = lab.a.run(
                "ping", "-n", "-c", "2", "-i", "0.05", "-W", "5", "-s", str(size), target
            )
            assert " 0% packet loss" in said, (target, size)
        listener = lab.b.start(*lab.b.python(TRANSFER, "serve", target, "7777"), log="serve")
        until(lambda: ":7777" in lab.b.run("ss", "-ltn"), "the receiver")
        for mss in (0, 536, 1001):
            said = lab.a.run(
                *lab.a.python(TRANSFER, "send", target, "7777", str(SIZE), "5", str(mss))
            )
            assert said.strip() == "same", (target, mss)
        lab.b.stop(listener)
    assert [host.counter("TcpInCsumErrors") for host in lab.hosts] == before
