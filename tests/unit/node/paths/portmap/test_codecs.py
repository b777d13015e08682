"""Port mapping protocols: layouts from their documents, refusals, and hostile answers."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from node.paths.portmap import nat_pmp, pcp, upnp
from node.paths.portmap.errors import PortMapError, RefusedError
from node.transport.endpoint import Endpoint

CLIENT = IPv4Address("192.168.1.5")
GATEWAY = IPv4Address("192.168.1.1")
NONCE = b"nonce-12byte"
MAPPED_CLIENT = "00000000000000000000ffffc0a80105"
DEVICE = b"""<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><device><deviceList><device><serviceList>
<service><serviceType>urn:schemas-upnp-org:service:WANPPPConnection:1</serviceType>
<controlURL>/ppp</controlURL></service>
<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>
<controlURL>http://198.51.100.66:99/ctl/IPConn</controlURL></service>
</serviceList></device></deviceList></device></root>"""


def test_pcp_announce_layout() -> None:
    assert pcp.encode_announce(CLIENT).hex() == "02000000" + "00000000" + MAPPED_CLIENT


def test_pcp_map_layout() -> None:
    request = pcp.encode_map(CLIENT, NONCE, 41641)
    assert len(request) == 60
    assert request.hex() == (
        "02010000" + "00001c20" + MAPPED_CLIENT + NONCE.hex() + "11000000" + "a2a9" + "0000"
        "00000000000000000000ffff00000000"
    )


def pcp_grant(result: int = 0, nonce: bytes = NONCE) -> bytes:
    head = bytes((2, 0x81, 0, result)) + (3600).to_bytes(4, "big") + (77).to_bytes(4, "big")
    body = nonce + b"\x11\0\0\0" + (41641).to_bytes(2, "big") + (5000).to_bytes(2, "big")
    return head + bytes(12) + body + bytes(10) + b"\xff\xff" + IPv4Address("203.0.113.9").packed


def test_pcp_grant_is_read() -> None:
    external = Endpoint.parse("203.0.113.9:5000")
    assert pcp.parse_map(pcp_grant(), NONCE) == pcp.PcpMapping(NONCE, 41641, external, 3600, 77)


def test_pcp_refusal_names_the_reason() -> None:
    with pytest.raises(RefusedError, match="another NAT") as caught:
        pcp.parse_map(pcp_grant(result=12), NONCE)
    assert caught.value.code == 12


def test_pcp_grant_of_another_request_is_not_ours() -> None:
    with pytest.raises(PortMapError):
        pcp.parse_map(pcp_grant(nonce=b"x" * 12), NONCE)


def test_nat_pmp_router_tells_that_it_knows_no_pcp() -> None:
    with pytest.raises(PortMapError):
        pcp.parse_announce(bytes.fromhex("00800001000000000000000000000000"))
    with pytest.raises(RefusedError, match="unsupported version"):
        pcp.parse_announce(bytes.fromhex("0080000100000000") + bytes(16))


def test_nat_pmp_layouts() -> None:
    assert nat_pmp.encode_address_request().hex() == "0000"
    assert nat_pmp.encode_map(41641, 5000).hex() == "00010000" + "a2a9" + "1388" + "00001c20"


def test_nat_pmp_answers_are_read() -> None:
    address = bytes.fromhex("00800000" + "0000004d" + "cb007109")
    assert nat_pmp.parse_address(address) == (IPv4Address("203.0.113.9"), 77)
    grant = bytes.fromhex("00810000" + "0000004d" + "a2a9" + "1388" + "00000e10")
    assert nat_pmp.parse_map(grant) == nat_pmp.NatPmpMapping(41641, 5000, 3600, 77)


def test_nat_pmp_refusal_names_the_reason() -> None:
    with pytest.raises(RefusedError, match="not authorized"):
        nat_pmp.parse_map(bytes.fromhex("00810002" + "0000004d"))


def test_upnp_search_asks_for_everything_and_for_gateways() -> None:
    first, second = upnp.encode_searches()
    assert b"ST: ssdp:all\r\n" in first
    assert b"InternetGatewayDevice:1\r\n" in second
    assert first.endswith(b"\r\n\r\n")


def ssdp(location: str) -> bytes:
    return (
        "HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
        f"LOCATION: {location}\r\n\r\n"
    ).encode()


def test_upnp_location_is_only_followed_to_the_gateway() -> None:
    found = upnp.parse_search_answer(ssdp("http://198.51.100.66:5000/desc.xml"), GATEWAY)
    assert found == "http://192.168.1.1:5000/desc.xml"


@pytest.mark.parametrize("location", ["", "file:///etc/passwd", "https://x/", "http://[bad/"])
def test_upnp_location_that_is_no_http_url_is_refused(location: str) -> None:
    with pytest.raises(PortMapError):
        upnp.parse_search_answer(ssdp(location), GATEWAY)


def test_upnp_services_are_ranked_and_bound_to_the_gateway() -> None:
    services = upnp.parse_description(DEVICE, "http://192.168.1.1:5000/desc.xml", GATEWAY)
    assert [(s.kind.split(":")[-2], s.control_url) for s in services] == [
        ("WANIPConnection", "http://192.168.1.1:99/ctl/IPConn"),
        ("WANPPPConnection", "http://192.168.1.1:5000/ppp"),
    ]


def test_upnp_mapping_request_names_port_and_client() -> None:
    service = upnp.UpnpService("urn:schemas-upnp-org:service:WANIPConnection:1", "http://x/")
    call = upnp.add_port_mapping(service, CLIENT, 41641, 5000)
    assert b"<NewInternalClient>192.168.1.5</NewInternalClient>" in call.body
    assert b"<NewExternalPort>5000</NewExternalPort>" in call.body
    assert call.headers["SOAPAction"].endswith('WANIPConnection:1#AddPortMapping"')


def test_upnp_error_is_told_by_its_code() -> None:
    fault = (
        b"<s:Envelope xmlns:s='x'><s:Body><s:Fault><detail><UPnPError>"
        b"<errorCode>725</errorCode><errorDescription>OnlyPermanentLeasesSupported"
        b"</errorDescription></UPnPError></detail></s:Fault></s:Body></s:Envelope>"
    )
    with pytest.raises(RefusedError) as caught:
        upnp.parse_soap(500, fault)
    assert caught.value.code in upnp.ONLY_PERMANENT_LEASES


def test_upnp_public_address_is_read() -> None:
    body = b"<a><NewExternalIPAddress>203.0.113.9</NewExternalIPAddress></a>"
    assert upnp.parse_soap(200, body)["NewExternalIPAddress"] == "203.0.113.9"


def test_xml_with_entities_is_not_expanded() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>'
    with pytest.raises(PortMapError):
        upnp.parse_soap(200, bomb)


@pytest.mark.parametrize("encoding", ["utf-16", "cp037"])
def test_entities_do_not_come_in_by_another_encoding(encoding: str) -> None:
    # A parser that believes the declaration reads a document type that no look at bytes shows.
    head = f'<?xml version="1.0" encoding="{encoding}"?>'
    rest = '<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>'
    body = (head + rest).encode(encoding)
    if encoding == "cp037":
        body = head.encode() + rest.encode(encoding)
    with pytest.raises(PortMapError):
        upnp.parse_soap(200, body)


def test_description_in_latin_1_is_read() -> None:
    named = DEVICE.replace(b"<deviceList>", b"<friendlyName>Bo\xeete</friendlyName><deviceList>", 1)
    [first, second] = upnp.parse_description(named, "http://192.168.1.1:80/d.xml", GATEWAY)
    assert first.kind.endswith("WANIPConnection:1")
    assert second.kind.endswith("WANPPPConnection:1")
