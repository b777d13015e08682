"""Answers one DNS question from a zone, or says who is to be asked (relay reference 6.3, 6.4).

A pure function of the zone and the question. Answers are authoritative and live for five seconds,
so that a node that moves is found again soon; refusals carry the zone's SOA.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.reversename
import dns.rrset

if TYPE_CHECKING:
    from node.dns.zone import IPAddress, Zone

__all__ = ["Forward", "Reply", "respond", "server_failure", "truncated"]

TTL_S: Final = 5
NEGATIVE_TTL_S: Final = 10
_LEAST_UDP_BYTES: Final = 512
_MOST_UDP_BYTES: Final = 4095
_NOT_IMPLEMENTED: Final = frozenset(
    {
        dns.rdatatype.NS,
        dns.rdatatype.SOA,
        dns.rdatatype.AXFR,
        dns.rdatatype.HINFO,
    }
)
_BROWSING: Final = frozenset({"b", "db", "r", "dr", "lb"})


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer, as bytes."""

    wire: bytes


@dataclass(frozen=True, slots=True)
class Forward:
    """Ask these resolvers: `ADDRESS` or `ADDRESS:PORT`. There is at least one."""

    query: dns.message.QueryMessage
    resolvers: tuple[str, ...]


def respond(zone: Zone, wire: bytes, unix_s: int) -> Reply | Forward | None:
    """Answer a question. None for bytes that deserve no answer: no header, or a response."""
    try:
        query = dns.message.from_wire(wire, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError):
        return _form_error(wire)
    if not isinstance(query, dns.message.QueryMessage) or query.flags & dns.flags.QR:
        return None
    if query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
        return _reply(query, dns.rcode.NOTIMP)
    question = query.question[0]
    name = question.name.to_text(omit_final_dot=True).lower()
    if question.rdtype == dns.rdatatype.PTR:
        pointed = _pointer(zone, query, name, unix_s)
        if pointed is not None:
            return pointed
    addresses = zone.hosts.get(name)
    if addresses is not None:
        return _known(zone, query, name, addresses, unix_s)
    local = zone.local_domain_of(name)
    if local is not None or name == "onion" or name.endswith(".onion"):
        return _reply(query, dns.rcode.NXDOMAIN, soa=local or "onion", unix_s=unix_s)
    resolvers = zone.route_of(name)
    return Forward(query, resolvers) if resolvers else _reply(query, dns.rcode.SERVFAIL)


def server_failure(query: dns.message.QueryMessage) -> bytes:
    """Return the answer where no resolver had one."""
    return _reply(query, dns.rcode.SERVFAIL).wire


def truncated(query_wire: bytes, answer: bytes) -> bytes:
    """Return an answer for UDP, marked as cut off if it is longer than the asker takes."""
    limit = _LEAST_UDP_BYTES
    try:
        query = dns.message.from_wire(query_wire, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError):
        return answer
    if query.edns >= 0:
        limit = min(max(query.payload, _LEAST_UDP_BYTES), _MOST_UDP_BYTES)
    if len(answer) <= limit:
        return answer
    return answer[:2] + bytes([answer[2] | 0x02]) + answer[3:]


def _pointer(zone: Zone, query: dns.message.QueryMessage, name: str, unix_s: int) -> Reply | None:
    labels = name.split(".")
    if len(labels) > 2 and labels[0] in _BROWSING and labels[1] == "_dns-sd":
        return _reply(query, dns.rcode.NXDOMAIN, soa=name, unix_s=unix_s)
    try:
        text = dns.reversename.to_address(query.question[0].name)
        known = zone.names.get(ipaddress.ip_address(text))
    except (dns.exception.DNSException, ValueError):
        return None
    return None if known is None else _reply(query, dns.rcode.NOERROR, records=[f"{known}."])


def _known(
    zone: Zone,
    query: dns.message.QueryMessage,
    name: str,
    addresses: tuple[IPAddress, ...],
    unix_s: int,
) -> Reply:
    kind = query.question[0].rdtype
    if kind in _NOT_IMPLEMENTED:
        return _reply(query, dns.rcode.NOTIMP)
    wanted = {dns.rdatatype.A: (4,), dns.rdatatype.AAAA: (6,), dns.rdatatype.ANY: (4, 6)}
    versions = wanted.get(kind, ())
    found = [str(ip) for ip in addresses if ip.version in versions][:1]
    if found:
        return _reply(query, dns.rcode.NOERROR, records=found)
    owner = zone.local_domain_of(name) or name.partition(".")[2] or name
    return _reply(query, dns.rcode.NOERROR, soa=owner, unix_s=unix_s)


def _reply(
    query: dns.message.QueryMessage,
    rcode: dns.rcode.Rcode,
    *,
    records: list[str] | None = None,
    soa: str = "",
    unix_s: int = 0,
) -> Reply:
    response = dns.message.Message(id=query.id)
    response.flags = dns.flags.QR | dns.flags.AA
    if query.flags & dns.flags.RD:
        response.flags |= dns.flags.RD | dns.flags.RA
    response.set_opcode(query.opcode())
    response.set_rcode(rcode)
    response.question = list(query.question)
    for record in records or ():
        asked = query.question[0]
        kind = asked.rdtype
        if kind == dns.rdatatype.ANY:
            kind = dns.rdatatype.AAAA if ":" in record else dns.rdatatype.A
        response.answer.append(
            dns.rrset.from_text(asked.name, TTL_S, dns.rdataclass.IN, kind, record)
        )
    if soa:
        timers = " ".join([str(NEGATIVE_TTL_S)] * 4)
        record = f"{soa}. {soa}. {unix_s % 2**32} {timers}"
        response.authority.append(
            dns.rrset.from_text(
                f"{soa}.", NEGATIVE_TTL_S, dns.rdataclass.IN, dns.rdatatype.SOA, record
            )
        )
    return Reply(response.to_wire())


def _form_error(wire: bytes) -> Reply | None:
    if len(wire) < 12 or wire[2] & 0x80:
        return None
    return Reply(wire[:2] + bytes([0x80 | wire[2] & 0x79, dns.rcode.FORMERR]) + bytes(8))
