"""Plain WireGuard devices as nodes: entered by an administrator, held to the policy by the others.

Such a device speaks neither disco nor DERP and never asks this server anything. Nodes of the policy
take it for a peer with `IsWireGuardOnly`; what they send to it they check themselves, since it
checks nothing.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from control.errors import AlreadyExistsError, InvalidRequestError
from control.identity.enrolment import Admission
from control.keys import NodePublic
from control.operations.nodes import check_tags
from control.registry.names import check_label
from control.store.records import RegisterMethod
from control.wire import parse_addr_port

if TYPE_CHECKING:
    from control.identity.registrar import Registrar
    from control.mapper.network import NetworkView
    from control.policies.keeper import PolicyKeeper
    from control.registry.tailnet import Tailnet
    from control.store.records import NodeRecord, UserRecord
    from control.wire import AddrPort

__all__ = ["DevicePeer", "enter_device", "peers_of_device"]


@dataclass(frozen=True, slots=True)
class DevicePeer:
    """One peer, as a device's configuration has it."""

    name: str
    public_key: str
    """Base64, as WireGuard writes keys."""
    allowed_ips: tuple[str, ...]
    endpoints: tuple[str, ...]
    """Where the peer says it is, what the whole internet can reach first."""

    def to_json(self) -> dict[str, Any]:
        """Return the peer as the API shows it."""
        return {
            "name": self.name,
            "publicKey": self.public_key,
            "allowedIps": list(self.allowed_ips),
            "endpoints": list(self.endpoints),
        }


async def enter_device(
    tailnet: Tailnet,
    registrar: Registrar,
    keeper: PolicyKeeper,
    *,
    name: str,
    user: UserRecord | None,
    tags: tuple[str, ...],
    public_key: str,
    endpoint: str,
    domain: str,
) -> NodeRecord:
    """Make a node of a device, for a user or with tags.

    Raises InvalidRequestError or AlreadyExistsError.
    """
    check_label(name, domain)
    if (user is None) == (not tags):
        raise InvalidRequestError("a device belongs to a user or has tags: give one of them")
    check_tags(keeper, tags)
    key = _key(public_key)
    for node in tailnet.nodes:
        if node.given_name == name or node.node_key == key:
            raise AlreadyExistsError(
                f"node {node.id}, {node.given_name}, has that name or key already"
            )
    admission = Admission(
        user=user,
        tags=tuple(sorted(set(tags))),
        method=RegisterMethod.WIREGUARD,
        endpoints=(_endpoint(endpoint),) if endpoint else (),
    )
    return await registrar.enter(name, key, admission)


def peers_of_device(
    node: NodeRecord, tailnet: Tailnet, network: NetworkView
) -> tuple[DevicePeer, ...]:
    """Return whom the policy connects a device with. Raises InvalidRequestError for other nodes.

    Other plain devices are left out: neither of two would hold the other to the policy. So are exit
    routes, which would take all of the device's traffic.
    """
    if not node.is_wireguard_only:
        raise InvalidRequestError(
            f"node {node.id} is no plain WireGuard device: it is told its peers by itself"
        )
    found = []
    for peer_id, routes in network.peers(node.id).items():
        peer = tailnet.node(peer_id)
        if peer is None or peer.is_wireguard_only:
            continue
        endpoints = sorted(peer.endpoints, key=lambda item: not item.ip.is_global)
        found.append(
            DevicePeer(
                name=peer.given_name,
                public_key=base64.b64encode(peer.node_key.raw).decode(),
                allowed_ips=tuple(ip for ip in routes.allowed_ips if not ip.endswith("/0")),
                endpoints=tuple(map(str, endpoints)),
            )
        )
    return tuple(found)


def _key(text: str) -> NodePublic:
    try:
        raw = base64.b64decode(text, validate=True)
        key = NodePublic(raw)
    except (binascii.Error, ValueError):
        raise InvalidRequestError(
            "the public key is not one of WireGuard's: 44 characters, as `wg pubkey` prints them"
        ) from None
    if key.is_zero:
        raise InvalidRequestError("the public key is all zeros")
    return key


def _endpoint(text: str) -> AddrPort:
    try:
        return parse_addr_port(text)
    except ValueError:
        raise InvalidRequestError(
            f"endpoint {text!r}: expected ADDRESS:PORT, such as 192.0.2.7:51820"
        ) from None
