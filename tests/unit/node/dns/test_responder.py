"""Answers to questions."""

from __future__ import annotations

from dataclasses import replace

import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.dns.responder import Forward, Reply, respond, truncated
from node.dns.zone import Zone, zone_of
from tests.support.netmaps import netmap, wire_node

ZONE = zone_of(netmap(wire_node(2, "web")))
NOW = 1_700_000_000


def answered(name: str, kind: str = "A", zone: Zone = ZONE) -> dns.message.Message:
    found = respond(zone, dns.message.make_query(name, kind).to_wire(), NOW)
    assert isinstance(found, Reply)
    return dns.message.from_wire(found.wire)


def records(message: dns.message.Message) -> list[str]:
    return [record.to_text() for rrset in message.answer for record in rrset]


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("web.tail.example", "A", ["100.64.0.2"]),
        ("WEB.Tail.Example", "A", ["100.64.0.2"]),
        ("web.tail.example", "AAAA", ["fd7a:115c:a1e0::2"]),
        ("web.tail.example", "ANY", ["100.64.0.2"]),
        ("2.0.64.100.in-addr.arpa", "PTR", ["web.tail.example."]),
    ],
)
def test_known_name_is_answered(name: str, kind: str, expected: list[str]) -> None:
    message = answered(name, kind)
    assert (message.rcode(), records(message)) == (dns.rcode.NOERROR, expected)
    assert message.flags & dns.flags.AA
    assert message.answer[0].ttl == 5


@pytest.mark.parametrize(
    ("name", "kind", "rcode"),
    [
        ("web.tail.example", "TXT", dns.rcode.NOERROR),
        ("web.tail.example", "NS", dns.rcode.NOTIMP),
        ("web.tail.example", "AXFR", dns.rcode.NOTIMP),
        ("gone.tail.example", "A", dns.rcode.NXDOMAIN),
        ("9.9.64.100.in-addr.arpa", "PTR", dns.rcode.NXDOMAIN),
        ("hidden.onion", "A", dns.rcode.NXDOMAIN),
        ("example.com", "A", dns.rcode.SERVFAIL),
    ],
)
def test_nothing_is_made_up(name: str, kind: str, rcode: dns.rcode.Rcode) -> None:
    message = answered(name, kind)
    assert (message.rcode(), records(message)) == (rcode, [])


def test_refusal_carries_the_soa_of_its_zone() -> None:
    [soa] = answered("gone.tail.example").authority
    assert (soa.name.to_text(), soa.ttl) == ("tail.example.", 10)


def test_other_names_go_to_the_resolvers() -> None:
    zone = replace(ZONE, routes={"": ("192.0.2.53",)})
    found = respond(zone, dns.message.make_query("example.com", "A").to_wire(), NOW)
    assert isinstance(found, Forward)
    assert found.resolvers == ("192.0.2.53",)


def test_response_is_not_answered() -> None:
    query = dns.message.make_query("web.tail.example", "A")
    query.flags |= dns.flags.QR
    assert respond(ZONE, query.to_wire(), NOW) is None


def test_broken_question_is_a_form_error() -> None:
    wire = dns.message.make_query("web.tail.example", "A").to_wire()[:-3]
    found = respond(ZONE, wire, NOW)
    assert isinstance(found, Reply)
    assert found.wire[3] & 15 == dns.rcode.FORMERR


@given(st.binary(max_size=600))
def test_any_bytes_are_answered_or_ignored(wire: bytes) -> None:
    found = respond(ZONE, wire, NOW)
    if isinstance(found, Reply):
        assert found.wire[:2] == wire[:2]
        assert found.wire[2] & 0x80


def test_long_answer_is_marked_as_cut_off() -> None:
    query = dns.message.make_query("a", "A").to_wire()
    assert truncated(query, bytes(512))[2] == 0
    assert truncated(query, bytes(513))[2] == 2


def test_asker_that_takes_more_gets_more() -> None:
    query = dns.message.make_query("a", "A", use_edns=0, payload=1232).to_wire()
    assert truncated(query, bytes(1232))[2] == 0
    assert truncated(query, bytes(1233))[2] == 2
