"""Interval sets against Python sets on a small universe, and canonical form on large ones."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from engine.netset import IpSet, PortSet, intervals
from engine.netset.constants import ANY_SET, EMPTY_SET

if TYPE_CHECKING:
    from engine.netset.intervals import Bounds

SMALL_TOP = 40
small_spans = st.lists(
    st.tuples(st.integers(0, SMALL_TOP), st.integers(0, SMALL_TOP)).map(
        lambda pair: (min(pair), max(pair))
    ),
    max_size=8,
)
# Neighbouring hosts, nested prefixes and both ends of both versions.
strings = st.one_of(
    st.integers(0, 5).map(lambda n: f"10.0.0.{n}"),
    st.tuples(st.integers(0, 4), st.integers(0, 4)).map(
        lambda pair: f"10.0.0.{min(pair)}-10.0.0.{max(pair)}"
    ),
    st.integers(0, 32).map(lambda n: f"10.0.0.0/{n}"),
    st.integers(0, 128).map(lambda n: f"fd7a:115c:a1e0::/{n}"),
    st.sampled_from(["*", "0.0.0.0", "255.255.255.255", "::", "ffff::/16", "::ffff:10.0.0.1"]),
)
string_lists = st.lists(strings, max_size=6)
ip_sets = string_lists.map(IpSet.of_strings)


@given(small_spans)
def test_bounds_hold_exactly_the_members_of_the_spans(spans: list[tuple[int, int]]) -> None:
    assert _members(intervals.from_spans(spans)) == _expand(spans)


@given(small_spans, small_spans)
def test_operations_are_those_of_sets(
    one: list[tuple[int, int]], other: list[tuple[int, int]]
) -> None:
    a, b = intervals.from_spans(one), intervals.from_spans(other)
    x, y = _expand(one), _expand(other)
    for bounds, members in [
        (intervals.union(a, b), x | y),
        (intervals.intersect(a, b), x & y),
        (intervals.subtract(a, b), x - y),
        (intervals.complement(a, SMALL_TOP), set(range(SMALL_TOP + 1)) - x),
    ]:
        assert _members(bounds) == members
        assert _is_canonical(bounds)
    assert intervals.overlaps(a, b) == bool(x & y)
    assert intervals.is_subset(a, b) == (x <= y)
    assert intervals.count(a) == len(x)
    assert (a == b) == (x == y)


@given(ip_sets, ip_sets, ip_sets)
def test_address_sets_obey_boolean_algebra(a: IpSet, b: IpSet, c: IpSet) -> None:
    assert a | b == b | a
    assert a & b == b & a
    assert a | (b & c) == (a | b) & (a | c)
    assert a & (b | c) == (a & b) | (a & c)
    assert ~(a | b) == ~a & ~b
    assert ~~a == a
    assert a | ~a == ANY_SET
    assert a & ~a == EMPTY_SET
    assert a - b == a & ~b
    assert a | (a & b) == a
    assert IpSet.union_of([a, b, c]) == a | b | c


@given(ip_sets, ip_sets)
def test_predicates_agree_with_operations(a: IpSet, b: IpSet) -> None:
    assert a.overlaps(b) == bool(a & b)
    assert a.issubset(b) == (a - b == EMPTY_SET)
    witness = a.witness()
    assert (witness is None) == a.is_empty
    if witness is not None:
        assert witness in a


@given(string_lists.flatmap(lambda texts: st.tuples(st.just(texts), st.permutations(texts))))
def test_the_form_does_not_depend_on_order_or_repetition(
    orders: tuple[list[str], list[str]],
) -> None:
    texts, shuffled = orders
    one, other = IpSet.of_strings(texts), IpSet.of_strings(shuffled + texts[:2])
    assert one == other
    assert hash(one) == hash(other)


@given(ip_sets)
def test_strings_and_prefixes_read_back_as_the_same_set(a: IpSet) -> None:
    assert IpSet.of_strings(a.strings()) == a
    assert IpSet.of_prefixes(a.prefixes()) == a
    assert IpSet.of_ranges(a.ranges()) == a


@given(st.lists(st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(sorted), max_size=6))
def test_port_sets_read_back_from_their_spelling(pairs: list[list[int]]) -> None:
    ports = PortSet.of_ranges((first, last) for first, last in pairs)
    if ports:
        assert PortSet.parse(str(ports)) == ports
    assert ~~ports == ports
    assert PortSet.of_ranges(ports.ranges()) == ports


def _expand(spans: list[tuple[int, int]]) -> set[int]:
    return {value for first, last in spans for value in range(first, last + 1)}


def _members(bounds: Bounds) -> set[int]:
    return {value for value in range(-1, SMALL_TOP + 3) if intervals.contains(bounds, value)}


def _is_canonical(bounds: Bounds) -> bool:
    return len(bounds) % 2 == 0 and all(low < high for low, high in pairwise(bounds))
