"""The two protocols that are one datagram each way: PCP (RFC 6887) and NAT-PMP (RFC 6886)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.paths.portmap import nat_pmp, pcp
from node.paths.portmap.dialogue import Command, Denied, Granted, Present, Send, Service, Turn
from node.paths.portmap.errors import PortMapError, RefusedError
from node.transport.endpoint import Endpoint

if TYPE_CHECKING:
    from ipaddress import IPv4Address

    from control.keys import Entropy

__all__ = ["NatPmpDialogue", "PcpDialogue"]

_OPERATION = 0x7F


class PcpDialogue:
    """PCP: the nonce makes a mapping ours, so that it is the same for as long as we want it."""

    service = Service.PCP

    def __init__(
        self, gateway: IPv4Address, client: IPv4Address, port: int, entropy: Entropy
    ) -> None:
        self._gateway = Endpoint(gateway, pcp.PORT)
        self._client = client
        self._port = port
        self._nonce = entropy(pcp.NONCE_BYTES)

    def probe(self) -> list[Command]:
        """Return the announcement, which a server answers with its epoch."""
        return [Send(pcp.encode_announce(self._client), self._gateway)]

    def ask(self, suggested: Endpoint | None) -> list[Command]:
        """Return the request for a mapping."""
        request = pcp.encode_map(self._client, self._nonce, self._port, suggested=suggested)
        return [Send(request, self._gateway)]

    def give_back(self, external: Endpoint) -> list[Command]:
        """Return the request for a lifetime of nothing."""
        request = pcp.encode_map(
            self._client, self._nonce, self._port, suggested=external, lifetime_s=0
        )
        return [Send(request, self._gateway)]

    def receive(self, datagram: bytes) -> Turn:
        """Read an announcement or a grant. Raises PortMapError."""
        if len(datagram) > 1 and datagram[1] & _OPERATION == 0:
            return [], Present(pcp.parse_announce(datagram))
        try:
            mapping = pcp.parse_map(datagram, self._nonce)
        except RefusedError as refused:
            return [], Denied(str(refused))
        if mapping.internal_port != self._port or not mapping.lifetime_s:
            raise PortMapError("PCP answer is for another wish")
        return [], Granted(mapping.external, mapping.lifetime_s, mapping.epoch_s)

    def fetched(self, number: int, status: int, body: bytes) -> Turn:
        """Ignore it: PCP fetches nothing."""
        del number, status, body
        return [], None


class NatPmpDialogue:
    """NAT-PMP: address and mapping are asked for apart, back to back."""

    service = Service.NAT_PMP

    def __init__(self, gateway: IPv4Address, port: int) -> None:
        self._gateway = Endpoint(gateway, pcp.PORT)
        self._port = port
        self._address: IPv4Address | None = None
        self._mapping: nat_pmp.NatPmpMapping | None = None

    def probe(self) -> list[Command]:
        """Return the question for the public address."""
        return [Send(nat_pmp.encode_address_request(), self._gateway)]

    def ask(self, suggested: Endpoint | None) -> list[Command]:
        """Return both questions."""
        self._mapping = None
        request = nat_pmp.encode_map(self._port, suggested.port if suggested else 0)
        return [*self.probe(), Send(request, self._gateway)]

    def give_back(self, external: Endpoint) -> list[Command]:
        """Return the request for a lifetime of nothing; the port named must be 0 then."""
        del external
        return [Send(nat_pmp.encode_map(self._port, 0, lifetime_s=0), self._gateway)]

    def receive(self, datagram: bytes) -> Turn:
        """Read an address or a mapping; a grant takes both. Raises PortMapError."""
        if len(datagram) > 1 and datagram[1] & _OPERATION == 0:
            try:
                self._address, epoch_s = nat_pmp.parse_address(datagram)
            except RefusedError as refused:
                return [], Denied(str(refused))
            return [], self._granted() or Present(epoch_s)
        try:
            mapping = nat_pmp.parse_map(datagram)
        except RefusedError as refused:
            return [], Denied(str(refused))
        if mapping.internal_port != self._port or not mapping.lifetime_s:
            raise PortMapError("NAT-PMP answer is for another wish")
        self._mapping = mapping
        return [], self._granted()

    def fetched(self, number: int, status: int, body: bytes) -> Turn:
        """Ignore it: NAT-PMP fetches nothing."""
        del number, status, body
        return [], None

    def _granted(self) -> Granted | Denied | None:
        address, mapping = self._address, self._mapping
        if address is None or mapping is None:
            return None
        self._mapping = None
        if address.is_unspecified:
            return Denied("NAT-PMP: the router has no public address")
        external = Endpoint(address, mapping.external_port)
        return Granted(external, mapping.lifetime_s, mapping.epoch_s)
