"""Whatever a router sends is an answer or an error."""

from __future__ import annotations

from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from node.paths.portmap import nat_pmp, pcp, upnp
from node.paths.portmap.errors import PortMapError

GATEWAY = IPv4Address("192.168.1.1")
NONCE = b"nonce-12byte"


@given(st.binary(max_size=120))
def test_any_datagram_is_an_answer_or_an_error(datagram: bytes) -> None:
    for parse in (
        pcp.parse_announce,
        lambda data: pcp.parse_map(data, NONCE),
        nat_pmp.parse_address,
        nat_pmp.parse_map,
        lambda data: upnp.parse_search_answer(data, GATEWAY),
        lambda data: upnp.parse_soap(200, data),
        lambda data: upnp.parse_description(data, "http://192.168.1.1/", GATEWAY),
    ):
        try:
            parse(datagram)
        except PortMapError:
            continue
