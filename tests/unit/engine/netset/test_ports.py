from __future__ import annotations

import pytest

from engine.netset import PortError, PortSet, parse_port_range
from engine.rules import ALL_PORTS, PortRange


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*", ALL_PORTS),
        ("0", PortRange(0, 0)),
        ("443", PortRange(443, 443)),
        ("80-90", PortRange(80, 90)),
        ("0-65535", ALL_PORTS),
    ],
)
def test_reads_a_range(text: str, expected: PortRange) -> None:
    assert parse_port_range(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "80-",
        "-80",
        "65536",
        "90-80",
        "1-2-3",
        " 80",
        "+80",
        "8_0",
        "٨٠",
        "ssh",
        "9" * 9999,
    ],
)
def test_refuses_what_is_not_a_range(text: str) -> None:
    with pytest.raises(PortError):
        parse_port_range(text)


def test_a_list_becomes_the_fewest_ranges() -> None:
    assert str(PortSet.parse("443,80-90,91,22")) == "22,80-91,443"


@pytest.mark.parametrize("text", ["", "80,", ",80", "80,,90"])
def test_an_empty_place_in_a_list_is_refused(text: str) -> None:
    with pytest.raises(PortError):
        PortSet.parse(text)


def test_all_ports_are_spelled_as_a_star() -> None:
    assert str(PortSet.of((0, 100), (101, 65535))) == "*"


def test_boolean_operations() -> None:
    web, low = PortSet.parse("80,443"), PortSet.parse("0-100")
    assert str(web | low) == "0-100,443"
    assert str(web & low) == "80"
    assert str(web - low) == "443"
    assert str(~low) == "101-65535"


def test_membership_and_witness() -> None:
    web = PortSet.parse("80,443")
    assert 443 in web
    assert 444 not in web
    assert web.witness() == 80
    assert web.count() == 2
    assert web.issubset(PortSet.parse("*"))
    assert not web.overlaps(PortSet.parse("81-442"))


def test_the_empty_set_is_false() -> None:
    assert not PortSet()
    assert PortSet().witness() is None
    assert str(PortSet()) == ""


def test_ranges_are_the_wire_type() -> None:
    assert list(PortSet.parse("80-90").ranges()) == [PortRange(80, 90)]
