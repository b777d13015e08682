"""The last netmap on disk."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from engine.rules import FilterRule, NetPortRange, PortRange
from node.state.last_netmap import from_disk, to_disk
from tests.support.netmaps import netmap, wire_node

NOW = datetime(2026, 3, 1, tzinfo=UTC)
RULE = FilterRule(("100.64.0.2",), (NetPortRange("100.64.0.1", PortRange(22, 22)),))


def test_netmap_survives_the_disk() -> None:
    held = netmap(wire_node(2), wire_node(3), filters={"base": (RULE,), "more": ()})
    assert from_disk(json.loads(json.dumps(to_disk(held))), NOW) == held


def test_netmap_without_peers_survives_the_disk() -> None:
    assert from_disk(to_disk(netmap()), NOW) == netmap()


@pytest.mark.parametrize("value", [{}, {"Node": {"ID": "x"}}, {"Node": 1}])
def test_what_cannot_be_read_is_no_netmap(value: dict[str, object]) -> None:
    assert from_disk(value, NOW) is None
