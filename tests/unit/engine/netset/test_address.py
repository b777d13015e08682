from __future__ import annotations

import pytest

from engine.netset.address import (
    V4,
    V6,
    Address,
    AddressError,
    format_v4,
    format_v6,
    parse_v4,
    parse_v6,
)
from engine.rules import EngineError

V6_SPELLINGS = [
    ("::", 0),
    ("::1", 1),
    ("1::", 1 << 112),
    ("1:2:3:4:5:6:7:8", 0x0001_0002_0003_0004_0005_0006_0007_0008),
    ("1:2:3:4:5:6:7::", 0x0001_0002_0003_0004_0005_0006_0007_0000),
    ("::2:3:4:5:6:7:8", 0x0000_0002_0003_0004_0005_0006_0007_0008),
    ("FD7A:115C:A1E0::53", 0xFD7A_115C_A1E0_0000_0000_0000_0000_0053),
    ("::ffff:1.2.3.4", 0xFFFF_0102_0304),
    ("1:2:3:4:5:6:1.2.3.4", 0x0001_0002_0003_0004_0005_0006_0102_0304),
    ("0001:0:0:0:0:0:0:1", (1 << 112) + 1),
]


@pytest.mark.parametrize(("text", "value"), V6_SPELLINGS)
def test_reads_every_spelling_of_ipv6(text: str, value: int) -> None:
    assert parse_v6(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.0.0.0", 0), ("255.255.255.255", 2**32 - 1), ("100.64.0.9", 0x6440_0009)],
)
def test_reads_ipv4(text: str, value: int) -> None:
    assert parse_v4(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.2.3",
        "1.2.3.4.5",
        "01.2.3.4",
        "1.2.3.256",
        "1.2.3.-4",
        "+1.2.3.4",
        " 1.2.3.4",
        "1.2.3.4 ",
        "1.2.3.٤",
        "1.2..4",
        "0x1.2.3.4",
        "1.2.3.4/32",
        "1.2.3.1_0",
    ],
)
def test_refuses_what_is_not_ipv4(text: str) -> None:
    with pytest.raises(AddressError, match="is not an IP address"):
        parse_v4(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        ":::",
        "1",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7:8::",
        "::1::",
        "1::2::3",
        ":1::2",
        "1::2:",
        "12345::",
        "g::",
        "0x1::",
        "::1_0",
        "-1::",
        "fe80::1%eth0",
        "1.2.3.4::",
        "::1.2.3",
        "::01.2.3.4",
        "1:2:3:4:5:6:7:1.2.3.4",
        "::1.2.3.4:5",
        " ::1",
        "1:2:3:4:5:6:7.8.9.10::",
        "::/0",
        "[::1]",
        "1" * 100000 + "::",
    ],
)
def test_refuses_what_is_not_ipv6(text: str) -> None:
    with pytest.raises(AddressError, match="is not an IP address"):
        parse_v6(text)


def test_an_ipv4_mapped_address_stays_ipv6() -> None:
    assert Address.parse("::ffff:100.64.0.9") == Address(V6, 0xFFFF_6440_0009)


def test_the_version_comes_from_the_spelling() -> None:
    assert Address.parse("100.64.0.9") == Address(V4, 0x6440_0009)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "::"),
        (1, "::1"),
        (1 << 112, "1::"),
        # One group of zeros alone is not shortened; of two equal runs the first is.
        (0x0001_0000_0003_0004_0005_0006_0007_0008, "1:0:3:4:5:6:7:8"),
        (0x0001_0000_0000_0004_0005_0000_0000_0008, "1::4:5:0:0:8"),
        (0x0001_0000_0000_0004_0000_0000_0000_0008, "1:0:0:4::8"),
        (0xABCD << 112, "abcd::"),
        (0xFFFF_0102_0304, "::ffff:1.2.3.4"),
        (0x0102_0304, "::102:304"),
    ],
)
def test_spells_ipv6_as_rfc_5952_says(value: int, text: str) -> None:
    assert format_v6(value) == text


def test_spells_ipv4_as_a_dotted_quad() -> None:
    assert format_v4(0x6440_0009) == "100.64.0.9"


def test_addresses_sort_by_version_then_number() -> None:
    texts = ["::1", "100.64.0.10", "::", "100.64.0.9"]
    ordered = sorted(Address.parse(text) for text in texts)
    assert [str(address) for address in ordered] == ["100.64.0.9", "100.64.0.10", "::", "::1"]


def test_an_error_quotes_no_more_than_a_line() -> None:
    with pytest.raises(EngineError) as caught:
        Address.parse("a" * 1_000_000)
    assert len(str(caught.value)) < 200
