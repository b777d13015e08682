"""The demo's network for tests: a control server, a relay, five agents, one policy."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from node.demo.lab import Lab, why_not
from node.demo.network import Network, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]
POLICY = REPOSITORY / "examples/policies/01-engineering-and-operations.hujson"


def needs_mesh() -> pytest.MarkDecorator:
    """Skip, saying why, where namespaces cannot be had."""
    why = why_not()
    return pytest.mark.skipif(why is not None, reason=f"SKIPPED LOUDLY: {why}")


@contextlib.contextmanager
def running_network(directory: Path) -> Iterator[Network]:
    """Run the network with its policy in force; everything is gone afterwards."""
    with Lab(directory) as lab:
        network = Network(lab)
        network.start_servers()
        network.join()
        network.set_policy(POLICY.read_text())
        wait_until(lambda: network.peer("staging", "visitor") is None, "the policy")
        wait_until(lambda: network.peer("engineer", "production") is not None, "peers")
        yield network
