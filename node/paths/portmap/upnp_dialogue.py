"""UPnP in steps: search, description, public address, mapping; each waits for the one before."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import AddressValueError, IPv4Address
from typing import TYPE_CHECKING, Final

from node.paths.portmap import upnp
from node.paths.portmap.dialogue import Command, Denied, Fetch, Granted, Present, Send, Service
from node.paths.portmap.errors import PortMapError, RefusedError
from node.transport.endpoint import Endpoint

if TYPE_CHECKING:
    from control.keys import Entropy
    from node.paths.portmap.dialogue import Turn

__all__ = ["UpnpDialogue"]

_PORT_TRIES: Final = 4
_CONFLICT: Final = 718
_OK: Final = 200
_FIRST_PORT: Final = 1024
_PORTS: Final = 65_536 - _FIRST_PORT


class _Step(Enum):
    DESCRIPTION = "description"
    ADDRESS = "address"
    MAPPING = "mapping"
    ENDING = "ending"


@dataclass(slots=True)
class _Wish:
    """The mapping that is being asked for."""

    external_port: int
    lease_s: int = upnp.LEASE_S
    tries_left: int = _PORT_TRIES
    services_left: int = 0
    address: IPv4Address | None = None


class UpnpDialogue:
    """One request at a time, as routers are slow."""

    service = Service.UPNP

    def __init__(
        self, gateway: IPv4Address, client: IPv4Address, port: int, entropy: Entropy
    ) -> None:
        self._gateway = gateway
        self._client = client
        self._port = port
        self._entropy = entropy
        self._location = ""
        self._services: list[upnp.UpnpService] = []
        self._wish: _Wish | None = None
        self._number = 0
        self._waiting: tuple[int, _Step] | None = None

    def probe(self) -> list[Command]:
        """Return the searches, to the gateway and to the group."""
        if self._waiting is None:
            self._location = ""
        targets = (
            Endpoint(self._gateway, upnp.SSDP_PORT),
            Endpoint.from_text(upnp.SSDP_GROUP, upnp.SSDP_PORT),
        )
        return [Send(search, to) for to in targets for search in upnp.encode_searches()]

    def ask(self, suggested: Endpoint | None) -> list[Command]:
        """Return the question for the public address; the mapping is asked for after it."""
        # HTTP always comes to an end; a wish that is on its way is not made again beside it.
        if not self._services or self._waiting is not None:
            return []
        # Old gateways give a port that another node holds to whoever asks last: draw lots.
        port = suggested.port if suggested is not None else self._any_port()
        self._wish = _Wish(port, services_left=len(self._services))
        return [self._call(_Step.ADDRESS, upnp.external_address(self._current(self._wish)))]

    def give_back(self, external: Endpoint) -> list[Command]:
        """Return the wish to end a mapping."""
        if not self._services:
            return []
        call = upnp.delete_port_mapping(self._services[0], external.port)
        return [self._call(_Step.ENDING, call)]

    def receive(self, datagram: bytes) -> Turn:
        """Read a search answer; only the first one leads on. Raises PortMapError."""
        location = upnp.parse_search_answer(datagram, self._gateway)
        if self._location or self._waiting is not None:
            return [], None
        self._location = location
        if self._services:
            return [], Present()
        self._number += 1
        self._waiting = (self._number, _Step.DESCRIPTION)
        return [Fetch(self._number, location, {}, None)], None

    def fetched(self, number: int, status: int, body: bytes) -> Turn:
        """Take the next step. Raises PortMapError."""
        if self._waiting is None or self._waiting[0] != number:
            return [], None
        step, self._waiting = self._waiting[1], None
        if step is _Step.DESCRIPTION:
            return self._described(status, body)
        wish = self._wish
        if step is _Step.ENDING or wish is None:
            return [], None
        if not status:
            self._services = []
            return [], Denied("UPnP: the gateway does not answer HTTP")
        try:
            fields = upnp.parse_soap(status, body)
        except RefusedError as refused:
            return self._refused(step, wish, refused)
        if step is _Step.ADDRESS:
            return self._addressed(wish, fields.get("NewExternalIPAddress", ""))
        reserved = fields.get("NewReservedPort", "")
        if reserved.isdecimal() and 0 < int(reserved) <= 0xFFFF:
            wish.external_port = int(reserved)
        if wish.address is None:
            raise PortMapError("UPnP: a mapping without an address")
        return [], Granted(Endpoint(wish.address, wish.external_port), wish.lease_s)

    def _described(self, status: int, body: bytes) -> Turn:
        if status != _OK:
            # The next probe asks for it again.
            return [], None
        self._services = upnp.parse_description(body, self._location, self._gateway)
        if not self._services:
            raise PortMapError("UPnP: the gateway maps no ports")
        return [], Present()

    def _addressed(self, wish: _Wish, text: str) -> Turn:
        try:
            wish.address = IPv4Address(text)
        except AddressValueError:
            return self._next_service(wish, f"UPnP: no public address: {text[:40]!r}")
        if wish.address.is_unspecified:
            return self._next_service(wish, "UPnP: the router has no public address")
        return [self._mapping(wish)], None

    def _mapping(self, wish: _Wish) -> Command:
        service = self._current(wish)
        add = upnp.add_any_port_mapping if service.can_add_any else upnp.add_port_mapping
        call = add(service, self._client, self._port, wish.external_port, wish.lease_s)
        return self._call(_Step.MAPPING, call)

    def _refused(self, step: _Step, wish: _Wish, refused: RefusedError) -> Turn:
        if step is _Step.MAPPING and refused.code in upnp.ONLY_PERMANENT_LEASES and wish.lease_s:
            wish.lease_s = 0
            return [self._mapping(wish)], None
        if step is _Step.MAPPING and refused.code == _CONFLICT and wish.tries_left:
            wish.tries_left -= 1
            wish.external_port = self._any_port()
            return [self._mapping(wish)], None
        return self._next_service(wish, str(refused))

    def _next_service(self, wish: _Wish, reason: str) -> Turn:
        wish.services_left -= 1
        if not wish.services_left:
            return [], Denied(reason)
        wish.lease_s, wish.tries_left = upnp.LEASE_S, _PORT_TRIES
        return [self._call(_Step.ADDRESS, upnp.external_address(self._current(wish)))], None

    def _current(self, wish: _Wish) -> upnp.UpnpService:
        return self._services[len(self._services) - wish.services_left]

    def _any_port(self) -> int:
        return _FIRST_PORT + int.from_bytes(self._entropy(4), "big") % _PORTS

    def _call(self, step: _Step, call: upnp.SoapCall) -> Fetch:
        self._number += 1
        self._waiting = (self._number, step)
        return Fetch(self._number, call.url, call.headers, call.body)
