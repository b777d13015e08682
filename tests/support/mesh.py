"""The demo's network for tests: a control server, a relay, five agents, one policy."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from node.demo.lab import HUB_ADDRESS, Lab, why_not
from node.demo.network import MEMBERS, Certificate, Member, Network, wait_until
from relay.server.tls import self_signed

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]
POLICY = REPOSITORY / "examples/policies/01-engineering-and-operations.hujson"


def needs_mesh() -> pytest.MarkDecorator:
    """Skip, saying why, where namespaces cannot be had."""
    why = why_not()
    return pytest.mark.skipif(why is not None, reason=f"SKIPPED LOUDLY: {why}")


def lasting_certificate(directory: Path) -> Certificate:
    """Make a certificate that the relay has again after a restart: nodes have pinned it."""
    chain, key, pin = self_signed(HUB_ADDRESS, datetime.now(UTC))
    files = directory / "relay.crt", directory / "relay.key"
    for path, data in zip(files, (chain, key), strict=True):
        path.write_bytes(data)
    return Certificate(*files, f"sha256-raw:{pin}")


@contextlib.contextmanager
def running_network(
    directory: Path, *more: Member, hosts: tuple[str, ...] = ()
) -> Iterator[Network]:
    """Run the network with its policy in force; everything is gone afterwards.

    `more` are members besides those of the demo, `hosts` are hosts that do not join.
    """
    with Lab(directory, (*(member.host for member in more), *hosts)) as lab:
        network = Network(lab, (*MEMBERS, *more), lasting_certificate(directory))
        network.start_servers()
        network.join()
        network.set_policy(POLICY.read_text())
        wait_until(lambda: network.peer("staging", "visitor") is None, "the policy")
        wait_until(lambda: network.peer("engineer", "production") is not None, "peers")
        yield network
