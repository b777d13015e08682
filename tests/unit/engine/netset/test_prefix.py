from __future__ import annotations

import pytest

from engine.netset import AddressError, Prefix


def test_host_bits_are_masked() -> None:
    assert Prefix.parse("10.1.2.3/8") == Prefix(4, 10 << 24, 8)


def test_an_address_is_the_prefix_of_itself() -> None:
    assert str(Prefix.parse("fd00::1")) == "fd00::1/128"


@pytest.mark.parametrize("text", ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.1/32", "::/0", "fd00::1/128"])
def test_canonical_text_survives(text: str) -> None:
    assert str(Prefix.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.0/",
        "10.0.0.0/33",
        "::/129",
        "10.0.0.0/08",
        "10.0.0.0/+8",
        "10.0.0.0/-1",
        "/8",
        "",
        "10.0.0.0/8/8",
        "10.0.0.0/255.0.0.0",
        "10.0.0/8",
        "10.0.0.0/ 8",
        "*",
    ],
)
def test_refuses_what_is_not_a_prefix(text: str) -> None:
    with pytest.raises(AddressError):
        Prefix.parse(text)


def test_the_length_is_left_out_of_the_short_form_of_one_address() -> None:
    assert [Prefix.parse(text).short for text in ("10.0.0.1/32", "fd00::1/128", "10.0.0.0/31")] == [
        "10.0.0.1",
        "fd00::1",
        "10.0.0.0/31",
    ]


def test_the_last_address_has_every_host_bit_set() -> None:
    assert Prefix.parse("10.0.0.0/8").last == (11 << 24) - 1


@pytest.mark.parametrize(
    ("outer", "inner", "covered"),
    [
        ("10.0.0.0/8", "10.1.0.0/16", True),
        ("10.0.0.0/8", "10.0.0.0/8", True),
        ("10.1.0.0/16", "10.0.0.0/8", False),
        ("10.0.0.0/8", "11.0.0.0/16", False),
        ("0.0.0.0/0", "::/0", False),
        ("::/0", "::1/128", True),
    ],
)
def test_covers_narrower_prefixes_of_its_own_version(outer: str, inner: str, covered: bool) -> None:
    assert Prefix.parse(outer).covers(Prefix.parse(inner)) is covered


def test_overlap_goes_either_way() -> None:
    narrow, wide = Prefix.parse("10.1.0.0/16"), Prefix.parse("10.0.0.0/8")
    assert narrow.overlaps(wide)
    assert wide.overlaps(narrow)
    assert not narrow.overlaps(Prefix.parse("10.2.0.0/16"))


def test_contains_no_address_of_the_other_version() -> None:
    assert Prefix.parse("::/0").contains(6, 1)
    assert not Prefix.parse("::/0").contains(4, 1)


def test_tells_exit_routes_and_single_addresses() -> None:
    assert Prefix.parse("::/0").is_default
    assert not Prefix.parse("::/1").is_default
    assert Prefix.parse("::/128").is_single
    assert not Prefix.parse("::/32").is_single
