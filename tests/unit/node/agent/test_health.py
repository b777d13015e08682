"""Warnings before it hurts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from node.agent.health import health_lines
from tests.support.netmaps import netmap, wire_node

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def lines(left: timedelta | None) -> tuple[str, ...]:
    expiry = None if left is None else NOW + left
    return health_lines(netmap(own=wire_node(1, key_expiry=expiry)), NOW)


@pytest.mark.parametrize("left", [None, timedelta(days=8)])
def test_far_expiry_says_nothing(left: timedelta | None) -> None:
    assert lines(left) == ()


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (timedelta(days=6), "expires in 6 days"),
        (timedelta(hours=30), "expires in 30 hours"),
        (timedelta(minutes=5), "expires in an hour"),
        (timedelta(), "has expired"),
    ],
)
def test_near_expiry_is_announced(left: timedelta, text: str) -> None:
    assert text in lines(left)[0]


def test_missing_exit_node_is_named() -> None:
    assert "exit node gw" in health_lines(None, NOW, exit_node_missing="gw")[0]
