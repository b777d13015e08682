"""The prefix cover of a range: exact, ascending, and no shorter one exists."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from engine.netset import V4, V6, cover

TOPS = {V4: 2**32 - 1, V6: 2**128 - 1}


@st.composite
def spans(draw: st.DrawFn) -> tuple[int, int, int]:
    version = draw(st.sampled_from([V4, V6]))
    bits = TOPS[version].bit_length()
    # Ends next to powers of two are where a cover goes wrong.
    near = st.builds(
        lambda bit, offset: min(max((1 << bit) + offset, 0), TOPS[version]),
        st.integers(0, bits),
        st.integers(-2, 2),
    )
    ends = st.integers(0, TOPS[version]) | near
    low, high = sorted((draw(ends), draw(ends)))
    return version, low, high


@given(spans())
def test_the_cover_is_the_one_of_the_standard_library(span: tuple[int, int, int]) -> None:
    version, low, high = span
    make = ipaddress.IPv4Address if version == V4 else ipaddress.IPv6Address
    theirs = ipaddress.summarize_address_range(make(low), make(high))
    assert [(p.base, p.length) for p in cover(version, low, high)] == [
        (int(network.network_address), network.prefixlen) for network in theirs
    ]


@given(spans())
def test_the_cover_tiles_the_range(span: tuple[int, int, int]) -> None:
    version, low, high = span
    place = low
    for prefix in cover(version, low, high):
        assert prefix.base == place
        place = prefix.last + 1
    assert place == high + 1


@given(st.integers(0, 31), st.integers(0, 31))
def test_no_shorter_cover_exists_on_five_bits(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert len(list(cover(V4, low, high))) == _fewest_blocks(low, high)


def _fewest_blocks(low: int, high: int) -> int:
    """Try every aligned block at each position: a shortest path over 0 to 31."""
    fewest = {low: 0}
    for place in range(low, high + 1):
        if place not in fewest:
            continue
        for size in (1, 2, 4, 8, 16, 32):
            if place % size == 0 and place + size <= high + 1:
                steps = fewest[place] + 1
                fewest[place + size] = min(fewest.get(place + size, steps), steps)
    return fewest[high + 1]
