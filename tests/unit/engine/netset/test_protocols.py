from __future__ import annotations

import pytest

from engine.netset.protocols import (
    ALIASES,
    DEFAULT,
    NUMBERS,
    ProtocolError,
    parse_protocol,
    protocol_name,
)

# IANA's assignments, written out again: a slip in the table must not pass unseen.
ASSIGNED = {
    "icmp": 1,
    "icmpv4": 1,
    "igmp": 2,
    "ipv4": 4,
    "ip-in-ip": 4,
    "tcp": 6,
    "egp": 8,
    "igp": 9,
    "udp": 17,
    "dccp": 33,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "ipv6-icmp": 58,
    "icmpv6": 58,
    "tsmp": 99,
    "sctp": 132,
    "fc": 133,
}


def test_the_tables_hold_these_names_and_no_others() -> None:
    assert NUMBERS | ALIASES == ASSIGNED


@pytest.mark.parametrize(("name", "number"), ASSIGNED.items())
def test_names_are_read_in_any_case(name: str, number: int) -> None:
    assert parse_protocol(name) == parse_protocol(name.upper()) == number


@pytest.mark.parametrize("text", ["", "*", "0"])
def test_nothing_star_and_zero_mean_the_default(text: str) -> None:
    assert parse_protocol(text) is None


def test_numbers_are_read_up_to_255() -> None:
    assert parse_protocol("255") == 255
    assert parse_protocol("6") == 6


@pytest.mark.parametrize("text", ["256", "-1", "+6", "6.0", " tcp", "tcp:80", "ipv6", "٦", "0x6"])
def test_refuses_what_is_not_a_protocol(text: str) -> None:
    with pytest.raises(ProtocolError):
        parse_protocol(text)


def test_a_number_is_shown_by_its_first_name() -> None:
    assert [protocol_name(number) for number in (6, 58, 4, 1, 200)] == [
        "tcp",
        "ipv6-icmp",
        "ipv4",
        "icmp",
        "200",
    ]


def test_default_is_tcp_udp_and_both_icmp() -> None:
    assert {protocol_name(number) for number in DEFAULT} == {"tcp", "udp", "icmp", "ipv6-icmp"}
