"""Addresses and prefixes against the standard library's `ipaddress`."""

from __future__ import annotations

import ipaddress

from hypothesis import example, given
from hypothesis import strategies as st

from engine.netset import (
    V4,
    V6,
    Address,
    AddressError,
    AddressRange,
    Prefix,
    format_v4,
    format_v6,
    parse_v4,
    parse_v6,
)

v4_values = st.integers(0, 2**32 - 1)
# Zero groups are what the spelling of IPv6 is about, so most groups are zero.
v6_values = st.lists(
    st.sampled_from([0, 0, 0, 1, 0xFFFF, 0xA00, 0xFD7A]) | st.integers(0, 0xFFFF),
    min_size=8,
    max_size=8,
).map(lambda groups: int("".join(f"{group:04x}" for group in groups), 16))
addresses = st.builds(Address, st.just(V4), v4_values) | st.builds(Address, st.just(V6), v6_values)
near_addresses = st.text("0123456789abfF.:%/-_ x", max_size=24) | st.from_regex(
    r"\A[0-9a-f:.]{1,40}\Z"
)


@given(v4_values)
def test_ipv4_round_trips(value: int) -> None:
    assert parse_v4(format_v4(value)) == value


@given(v6_values)
@example(0xFFFF_0102_0304)
def test_ipv6_round_trips(value: int) -> None:
    assert parse_v6(format_v6(value)) == value


@given(v6_values.filter(lambda value: value >> 32 != 0xFFFF))
def test_ipv6_is_spelled_as_the_standard_library_spells_it(value: int) -> None:
    assert format_v6(value) == str(ipaddress.IPv6Address(value))


@given(v6_values)
def test_the_exploded_form_reads_as_the_same_address(value: int) -> None:
    assert parse_v6(ipaddress.IPv6Address(value).exploded) == value


@given(near_addresses | st.text())
@example("1:2:3:4:5:6:7::")
@example("1::1.2.3.4")
@example("0:0:0:0:0:0:0::")
def test_reads_exactly_what_the_standard_library_reads(text: str) -> None:
    assert _ours(text) == _theirs(text)


@given(addresses, st.data())
def test_a_prefix_masks_as_the_standard_library_does(address: Address, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, 32 if address.version == V4 else 128))
    ours = Prefix.parse(f"{address}/{length}")
    make = ipaddress.IPv4Network if address.version == V4 else ipaddress.IPv6Network
    theirs = make((address.value, length), strict=False)
    assert (ours.version, ours.base, ours.length, ours.last) == (
        theirs.version,
        int(theirs.network_address),
        theirs.prefixlen,
        int(theirs.broadcast_address),
    )
    assert Prefix.parse(str(ours)) == Prefix.parse(ours.short) == ours


@given(addresses, addresses)
def test_a_range_round_trips(one: Address, other: Address) -> None:
    if one.version == other.version:
        low, high = sorted((one.value, other.value))
        whole = AddressRange(one.version, low, high)
        assert AddressRange.parse(str(whole)) == whole


@given(st.text() | near_addresses)
def test_any_text_is_a_range_or_an_address_error(text: str) -> None:
    try:
        found = AddressRange.parse(text)
    except AddressError:
        return
    assert AddressRange.parse(str(found)) == found


def _ours(text: str) -> tuple[int, int] | None:
    try:
        return Address.parse(text)
    except AddressError:
        return None


def _theirs(text: str) -> tuple[int, int] | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        return None
    return (address.version, int(address))
