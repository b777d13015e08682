"""Boxes of what two filters decide otherwise; the law is in the property tests."""

from __future__ import annotations

import pytest

from engine.difference.filters import filter_difference
from engine.netset.ports import PortSet
from engine.rules import (
    ALL_PORTS,
    FilterRule,
    MalformedRuleError,
    NetPortRange,
    Origin,
    PortRange,
)


def rule(src: str, dst: str, ports: PortRange, position: int = 0) -> FilterRule:
    origins = (Origin("acls", position, position + 1),)
    return FilterRule((src,), (NetPortRange(dst, ports),), (6,), origins=origins)


A, B = "100.64.0.1", "100.64.0.2"


def test_ports_that_are_left_over_are_the_difference() -> None:
    old, new = [rule(A, B, PortRange(20, 30))], [rule(A, B, PortRange(25, 40))]
    removed, added = filter_difference(old, new)
    assert (removed.is_added, removed.services) == (False, ((6, PortSet.of((20, 24))),))
    assert (added.is_added, added.services) == (True, ((6, PortSet.of((31, 40))),))


def test_rules_that_gave_it_are_named_however_many() -> None:
    old = [rule(A, B, PortRange(22, 22)), rule("100.64.0.0/24", B, ALL_PORTS, 1)]
    boxes = filter_difference(old, [])
    assert {tuple(o.position for o in box.origins) for box in boxes} == {(0, 1), (1,)}


def test_places_of_equal_rules_are_no_difference() -> None:
    old, new = [rule(A, B, ALL_PORTS)], [rule(A, B, ALL_PORTS, 7)]
    assert filter_difference(old, new) == []


def test_address_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(MalformedRuleError):
        filter_difference([rule("x", B, ALL_PORTS)], [])
