"""UPnP Internet gateway device: SSDP search, device description, and SOAP for one UDP port.

Whatever the router answers, control URLs are only ever followed on the gateway itself: a
description must not send us elsewhere (relay reference 3.15).
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit, urlunsplit
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from node.paths.portmap.errors import PortMapError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "MAX_XML_BYTES",
    "SSDP_GROUP",
    "SSDP_PORT",
    "SoapCall",
    "UpnpService",
    "add_any_port_mapping",
    "add_port_mapping",
    "delete_port_mapping",
    "encode_searches",
    "external_address",
    "parse_description",
    "parse_search_answer",
    "parse_soap",
]

SSDP_GROUP: Final = "239.255.255.250"
SSDP_PORT: Final = 1900
LEASE_S: Final = 7200
MAX_XML_BYTES: Final = 256 * 1024
ONLY_PERMANENT_LEASES: Final = frozenset({402, 725})
"""Error codes after which the same request with a lease of 0 may succeed."""

_TARGETS: Final = ("ssdp:all", "urn:schemas-upnp-org:device:InternetGatewayDevice:1")
_SERVICES: Final = (
    "urn:schemas-upnp-org:service:WANIPConnection:2",
    "urn:schemas-upnp-org:service:WANIPConnection:1",
    "urn:schemas-upnp-org:service:WANPPPConnection:1",
)
_DESCRIPTION: Final = "postern"


@dataclass(frozen=True, slots=True)
class UpnpService:
    """A service that maps ports, and where to post to it."""

    kind: str
    control_url: str

    @property
    def can_add_any(self) -> bool:
        """Whether the service may choose another external port by itself."""
        return self.kind.endswith("WANIPConnection:2")


@dataclass(frozen=True, slots=True)
class SoapCall:
    """One HTTP POST."""

    url: str
    headers: Mapping[str, str]
    body: bytes


def encode_searches() -> list[bytes]:
    """Return the SSDP datagrams, for the gateway's port 1900 and for the multicast group."""
    return [
        (
            "M-SEARCH * HTTP/1.1\r\n"
            f"HOST: {SSDP_GROUP}:{SSDP_PORT}\r\n"
            f"ST: {target}\r\n"
            'MAN: "ssdp:discover"\r\n'
            "MX: 2\r\n\r\n"
        ).encode()
        for target in _TARGETS
    ]


def parse_search_answer(datagram: bytes, gateway: IPv4Address) -> str:
    """Return where the description is, on the gateway. Raises PortMapError."""
    lines = datagram.decode("latin-1").split("\r\n")
    if not lines[0].startswith("HTTP/1.") or " 200" not in lines[0]:
        raise PortMapError("not an SSDP answer")
    fields = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        fields[name.strip().lower()] = value.strip()
    if "InternetGatewayDevice" not in fields.get("st", "") + fields.get("usn", ""):
        raise PortMapError("SSDP answer of something that is no gateway")
    return _on_gateway(fields.get("location", ""), gateway)


def parse_description(xml: bytes, location: str, gateway: IPv4Address) -> list[UpnpService]:
    """Return the services that can map ports, best first. Raises PortMapError."""
    root = _parse_xml(xml)
    found: dict[str, UpnpService] = {}
    for element in root.iter():
        if _local(element.tag) != "service":
            continue
        fields = {_local(child.tag): (child.text or "").strip() for child in element}
        kind, path = fields.get("serviceType", ""), fields.get("controlURL", "")
        if kind in _SERVICES and path and kind not in found:
            url = _on_gateway(urljoin(location, path), gateway)
            found[kind] = UpnpService(kind, url)
    return [found[kind] for kind in _SERVICES if kind in found]


def external_address(service: UpnpService) -> SoapCall:
    """Ask for the public address."""
    return _soap(service, "GetExternalIPAddress", {})


def add_port_mapping(
    service: UpnpService, client: IPv4Address, internal: int, external: int, lease_s: int = LEASE_S
) -> SoapCall:
    """Ask for exactly this external port."""
    return _soap(service, "AddPortMapping", _mapping(client, internal, external, lease_s))


def add_any_port_mapping(
    service: UpnpService, client: IPv4Address, internal: int, external: int, lease_s: int = LEASE_S
) -> SoapCall:
    """Ask for this external port or any other."""
    return _soap(service, "AddAnyPortMapping", _mapping(client, internal, external, lease_s))


def delete_port_mapping(service: UpnpService, external: int) -> SoapCall:
    """Give a mapping back."""
    fields = {"NewRemoteHost": "", "NewExternalPort": str(external), "NewProtocol": "UDP"}
    return _soap(service, "DeletePortMapping", fields)


def parse_soap(status: int, body: bytes) -> Mapping[str, str]:
    """Return the fields of the answer. Raises PortMapError, RefusedError with UPnP's code."""
    fields = {
        _local(element.tag): (element.text or "").strip()
        for element in _parse_xml(body).iter()
        if not len(element)
    }
    if status == 200:
        return fields
    code = fields.get("errorCode", "")
    text = fields.get("errorDescription", "") or "refused"
    raise RefusedError(int(code) if code.isdecimal() else status, f"UPnP: {text}")


def _mapping(client: IPv4Address, internal: int, external: int, lease_s: int) -> dict[str, str]:
    return {
        "NewRemoteHost": "",
        "NewExternalPort": str(external),
        "NewProtocol": "UDP",
        "NewInternalPort": str(internal),
        "NewInternalClient": str(client),
        "NewEnabled": "1",
        "NewPortMappingDescription": _DESCRIPTION,
        "NewLeaseDuration": str(lease_s),
    }


def _soap(service: UpnpService, action: str, fields: Mapping[str, str]) -> SoapCall:
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    body = (
        '<?xml version="1.0"?>'
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
        's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>'
        f'<u:{action} xmlns:u="{service.kind}">{inner}</u:{action}>'
        "</s:Body></s:Envelope>"
    )
    headers = {
        "Content-Type": 'text/xml; charset="utf-8"',
        "SOAPAction": f'"{service.kind}#{action}"',
    }
    return SoapCall(service.control_url, headers, body.encode())


def _on_gateway(url: str, gateway: IPv4Address) -> str:
    """Return the URL with the gateway for its host. Raises PortMapError for no URL at all."""
    try:
        parts = urlsplit(url)
        port = parts.port or 80
    except ValueError as error:
        raise PortMapError("gateway gave no usable URL") from error
    if parts.scheme != "http" or not parts.hostname:
        raise PortMapError("gateway gave no usable URL")
    path = parts.path or "/"
    return urlunsplit(("http", f"{ip_address(int(gateway))}:{port}", path, parts.query, ""))


def _parse_xml(body: bytes) -> ET.Element:
    # As text, so that what is looked at is what is parsed, whatever encoding it claims.
    text = body.decode(errors="replace")
    # Entities are how small documents grow large; no gateway needs a document type.
    if len(body) > MAX_XML_BYTES or "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise PortMapError("gateway sent XML that we do not read")
    try:
        return ET.fromstring(text)  # noqa: S314  bounded, and without a document type
    except (ET.ParseError, ValueError) as error:
        raise PortMapError("gateway sent broken XML") from error


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2]
