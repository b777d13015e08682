"""The nearest of some names."""

from __future__ import annotations

from policy.nearest import nearest


def test_finds_a_slip() -> None:
    assert nearest("tag:webb", ["tag:db", "tag:web"]) == "tag:web"


def test_finds_nothing_far_away() -> None:
    assert nearest("group:x", ["tag:web"]) is None


def test_does_not_compare_what_is_long() -> None:
    assert nearest("a" * 101, ["a" * 101]) is None
