"""Ports, protocols and the `ip` entries of grants."""

from __future__ import annotations

import pytest

from policy.model.ports import (
    ANY,
    IpSpec,
    PolicyValueError,
    Ports,
    parse_grant_ip,
    parse_ports,
    parse_protocol,
)


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("*", (ANY,)),
        ("443", (Ports(443, 443),)),
        ("80,443", (Ports(80, 80), Ports(443, 443))),
        ("8000-8999,22", (Ports(8000, 8999), Ports(22, 22))),
        ("1-65535", (Ports(1, 65535),)),
        ("7-7", (Ports(7, 7),)),
    ],
)
def test_port_lists(text: str, ports: tuple[Ports, ...]) -> None:
    assert parse_ports(text) == ports


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'invalid port list: ""'),
        ("https", 'port range "https": invalid first integer'),
        ("22,x", 'port range "x": invalid first integer'),
        ("22-", 'port range "22-": invalid last integer'),
        ("22-x", 'port range "22-x": invalid last integer'),
        ("-1", 'port range "-1": invalid first integer'),
        ("1-2-3", 'port range "1-2-3": too many dashes(-)'),
        ("0", "port range \"0\": first port must be >0, or use '*' for wildcard"),
        ("9-3", 'port range "9-3": first port must be >= last port'),
        ("65536", 'port range "65536": invalid first integer'),
        ("1-70000", 'port range "1-70000": invalid last integer'),
        ("9" * 5000, f'port range "{"9" * 5000}": invalid first integer'),
        ("22, 80", 'port range " 80": invalid first integer'),
        ("\u0663", 'port range "\u0663": invalid first integer'),
        ("*,22", 'invalid port list: "*,22"'),
    ],
)
def test_bad_port_lists_in_the_words_of_the_service(text: str, message: str) -> None:
    with pytest.raises(PolicyValueError) as refused:
        parse_ports(text)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("*", IpSpec(None, ANY)),
        ("47", IpSpec(None, Ports(47, 47))),
        ("8000-8999", IpSpec(None, Ports(8000, 8999))),
        ("tcp:443", IpSpec(6, Ports(443, 443))),
        ("TCP:*", IpSpec(6, ANY)),
        ("icmp:*", IpSpec(1, ANY)),
        ("ipv6-icmp:*", IpSpec(58, ANY)),
        ("132:9-10", IpSpec(132, Ports(9, 10))),
        ("*:80", IpSpec(None, Ports(80, 80))),
    ],
)
def test_grant_entries(text: str, spec: IpSpec) -> None:
    assert parse_grant_ip(text) == spec


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty string"),
        ("tcp", 'port range "tcp": invalid first integer'),
        (":80", "empty protocol"),
        ("tcp:", 'port range "": invalid first integer'),
        ("tcp:0", "port range \"0\": first port must be >0, or use '*' for wildcard"),
        ("tcp:80,443", 'port range "80,443": invalid first integer'),
        ("quic:443", 'proto name "quic" not known; use protocol number 0-255'),
        ("256:1", 'proto name "256" not known; use protocol number 0-255'),
    ],
)
def test_bad_grant_entries_in_the_words_of_the_service(text: str, message: str) -> None:
    with pytest.raises(PolicyValueError) as refused:
        parse_grant_ip(text)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("text", "number"),
    [("tcp", 6), ("Udp", 17), ("sctp", 132), ("0", None), ("*", None), ("255", 255), ("1", 1)],
)
def test_protocols(text: str, number: int | None) -> None:
    assert parse_protocol(text) == number
