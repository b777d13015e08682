from __future__ import annotations

import pytest

from engine.netset import AddressError, AddressRange, cover, parse_ranges


@pytest.mark.parametrize(
    "text",
    [
        "100.64.0.9",
        "10.9.0.0/16",
        "100.64.0.0-100.115.91.255",
        "fd7a:115c:a1e0::/48",
        "::1-::3",
        "0.0.0.0/0",
    ],
)
def test_canonical_text_survives(text: str) -> None:
    assert str(AddressRange.parse(text)) == text


def test_a_range_that_is_a_prefix_is_spelled_as_one() -> None:
    assert str(AddressRange.parse("10.0.0.0-10.0.0.255")) == "10.0.0.0/24"


def test_a_power_of_two_out_of_line_is_no_prefix() -> None:
    assert str(AddressRange.parse("10.0.0.1-10.0.0.2")) == "10.0.0.1-10.0.0.2"


def test_host_bits_of_a_cidr_are_masked() -> None:
    assert AddressRange.parse("10.9.1.2/16") == AddressRange.parse("10.9.0.0-10.9.255.255")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "10.0.0.1-",
        "-10.0.0.1",
        "10.0.0.2-10.0.0.1",
        "10.0.0.1-::1",
        "*",
        "cap:x",
        "10.0.0.1-10.0.0.2-10.0.0.3",
        "10.0.0.1 - 10.0.0.2",
        "10.0.0.0/24-10.0.1.0/24",
    ],
)
def test_refuses_what_is_not_a_range(text: str) -> None:
    with pytest.raises(AddressError):
        AddressRange.parse(text)


def test_a_star_is_everything_of_both_versions() -> None:
    assert [str(found) for found in parse_ranges("*")] == ["0.0.0.0/0", "::/0"]


def test_the_wildcard_ranges_are_covered_as_the_client_covers_them() -> None:
    low = "100.64.0.0/11 100.96.0.0/12 100.112.0.0/15 100.114.0.0/16 100.115.0.0/18"
    low += " 100.115.64.0/20 100.115.80.0/21 100.115.88.0/22"
    high = "100.115.94.0/23 100.115.96.0/19 100.115.128.0/17 100.116.0.0/14 100.120.0.0/13"
    assert _cover("100.64.0.0-100.115.91.255") == low
    assert _cover("100.115.94.0-100.127.255.255") == high


def test_the_whole_of_a_version_is_one_prefix() -> None:
    assert [str(prefix) for prefix in cover(4, 0, 2**32 - 1)] == ["0.0.0.0/0"]
    assert [str(prefix) for prefix in cover(6, 0, 2**128 - 1)] == ["::/0"]


def test_the_worst_range_takes_two_prefixes_a_bit() -> None:
    assert len(list(cover(6, 1, 2**128 - 2))) == 254


def test_ranges_overlap_within_one_version_only() -> None:
    one = AddressRange.parse("10.0.0.1-10.0.0.5")
    assert one.overlaps(AddressRange.parse("10.0.0.5-10.0.0.9"))
    assert not one.overlaps(AddressRange.parse("10.0.0.6-10.0.0.9"))
    assert not one.overlaps(AddressRange.parse("::/0"))


def test_contains_both_ends() -> None:
    one = AddressRange.parse("0.0.0.1-0.0.0.5")
    assert [value for value in range(8) if one.contains(4, value)] == [1, 2, 3, 4, 5]
    assert not one.contains(6, 1)


def _cover(text: str) -> str:
    return " ".join(str(prefix) for prefix in AddressRange.parse(text).prefixes())
