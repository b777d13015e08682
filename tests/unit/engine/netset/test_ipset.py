from __future__ import annotations

import pytest

from engine.netset import Address, AddressError, IpSet, Prefix
from engine.netset.constants import ANY_SET, EMPTY_SET

OFFICE = IpSet.of("10.0.0.0/8", "fd00::/16")


def test_strings_that_overlap_or_touch_become_one_range() -> None:
    assert list(IpSet.of("10.0.0.128/25", "10.0.0.0-10.0.0.127", "10.0.0.7").strings()) == [
        "10.0.0.0/24"
    ]


def test_the_order_of_strings_does_not_matter() -> None:
    one = IpSet.of("::1", "10.0.0.1", "10.0.0.0")
    other = IpSet.of("10.0.0.0/31", "::1")
    assert one == other
    assert hash(one) == hash(other)


def test_a_bad_string_is_refused() -> None:
    with pytest.raises(AddressError, match=r"'10\.0\.0\.300'"):
        IpSet.of("10.0.0.1", "10.0.0.300")


def test_a_star_is_everything() -> None:
    assert IpSet.of("*") == ANY_SET == IpSet.of("0.0.0.0/0", "::/0")
    assert ANY_SET.is_any
    assert list(ANY_SET.strings()) == ["*"]


def test_one_whole_version_is_not_everything() -> None:
    assert not IpSet.of("0.0.0.0/0").is_any


def test_versions_do_not_mix() -> None:
    assert Address.parse("10.0.0.1") in OFFICE
    assert Address.parse("::a00:1") not in OFFICE
    assert Address.parse("::ffff:10.0.0.1") not in OFFICE


def test_union_intersection_difference() -> None:
    lab = IpSet.of("10.1.0.0/16", "192.0.2.0/24")
    assert OFFICE & lab == IpSet.of("10.1.0.0/16")
    assert lab - OFFICE == IpSet.of("192.0.2.0/24")
    assert OFFICE | lab == IpSet.of("10.0.0.0/8", "192.0.2.0/24", "fd00::/16")


def test_complement_covers_both_versions() -> None:
    assert list((~IpSet.of("128.0.0.0/1", "8000::/1")).strings()) == ["0.0.0.0/1", "::/1"]


def test_the_empty_set_is_false_and_contains_nothing() -> None:
    assert not EMPTY_SET
    assert EMPTY_SET.is_empty
    assert list(EMPTY_SET.prefixes()) == []
    assert EMPTY_SET.witness() is None
    assert not EMPTY_SET.overlaps(ANY_SET)


def test_the_witness_is_the_lowest_address_and_ipv4_first() -> None:
    assert OFFICE.witness() == Address.parse("10.0.0.0")
    assert IpSet.of("fd00::/16").witness() == Address.parse("fd00::")


def test_prefixes_ascend_with_ipv4_first() -> None:
    found = IpSet.of("fd00::1", "10.0.0.1-10.0.0.4").prefixes()
    assert [str(prefix) for prefix in found] == [
        "10.0.0.1/32",
        "10.0.0.2/31",
        "10.0.0.4/32",
        "fd00::1/128",
    ]


@pytest.mark.parametrize(
    ("text", "inside", "touched"),
    [
        ("10.2.0.0/16", True, True),
        ("0.0.0.0/0", False, True),
        ("11.0.0.0/8", False, False),
        ("fd00::1/128", True, True),
        ("::/0", False, True),
    ],
)
def test_tells_whether_it_holds_or_meets_a_prefix(text: str, inside: bool, touched: bool) -> None:
    prefix = Prefix.parse(text)
    assert OFFICE.contains_prefix(prefix) is inside
    assert OFFICE.overlaps_prefix(prefix) is touched


def test_a_wide_prefix_is_never_expanded() -> None:
    everything_but_one = ANY_SET - IpSet.of("10.0.0.1", "fd00::1")
    assert everything_but_one.count(6) == 2**128 - 1
    assert len(list(everything_but_one.ranges())) == 4


def test_subset_needs_both_versions() -> None:
    assert IpSet.of("10.1.2.3", "fd00::1").issubset(OFFICE)
    assert not IpSet.of("10.1.2.3", "fe00::1").issubset(OFFICE)


def test_builders_agree_with_strings() -> None:
    texts = ["10.0.0.1", "10.0.0.2", "fd00::1"]
    expected = IpSet.of(*texts)
    assert IpSet.of_addresses(Address.parse(text) for text in texts) == expected
    assert IpSet.of_prefixes(Prefix.parse(text) for text in texts) == expected
    assert IpSet.union_of(IpSet.of(text) for text in texts) == expected


def test_the_repr_reads_back_and_stays_short() -> None:
    assert repr(OFFICE) == "IpSet.of('10.0.0.0/8', 'fd00::/16')"
    scattered = IpSet.of(*(f"10.0.0.{octet}" for octet in range(0, 256, 2)))
    assert len(repr(scattered)) < 200
