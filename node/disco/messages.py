"""Disco messages: what two nodes say to each other about ways to reach one another.

Plaintext layout: type u8, version u8 (0), body. Addresses travel as 16 bytes of IPv6 (IPv4
mapped) and a port. Readers ignore bytes behind the bodies they know (relay reference 3.1).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv6Address

from node.disco.errors import DiscoError, DiscoFault
from node.transport.endpoint import Endpoint

__all__ = [
    "ROUND_BYTES",
    "TRANSACTION_BYTES",
    "AllocateRequest",
    "AllocateResponse",
    "BindStep",
    "Birthday",
    "BirthdayStep",
    "CallMeMaybe",
    "CallMeMaybeVia",
    "Message",
    "MessageType",
    "Ping",
    "Pong",
    "RelayBinding",
    "RelayEndpoint",
    "pack",
    "pack_address",
    "parse",
]

TRANSACTION_BYTES = 12
KEY_BYTES = 32
ADDRESS_BYTES = 18
ROUND_BYTES = 8
_MAPPED = bytes(10) + b"\xff\xff"
_BIND_BYTES = 72
_RELAY = struct.Struct(">32s64sQIQQ")


class MessageType(IntEnum):
    """The first byte of the plaintext."""

    PING = 1
    PONG = 2
    CALL_ME_MAYBE = 3
    BIND = 4
    BIND_CHALLENGE = 5
    BIND_ANSWER = 6
    CALL_ME_MAYBE_VIA = 7
    ALLOCATE_REQUEST = 8
    ALLOCATE_RESPONSE = 9
    BIRTHDAY = 0xB0
    """Ours alone; far from the numbers in use, and ignored by whoever does not know it."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks whoever gets it to answer to where it came from."""

    transaction: bytes
    node_key: bytes = b""
    """The sender's node key, 32 bytes; empty from nodes that predate it."""
    padding: int = 0
    """Zero bytes behind, to probe what size a path carries."""


@dataclass(frozen=True, slots=True)
class Pong:
    """Answers a ping; `source` is where the ping seemed to come from."""

    transaction: bytes
    source: Endpoint


@dataclass(frozen=True, slots=True)
class CallMeMaybe:
    """Asks the other side to ping these addresses now. Travels by relay only."""

    endpoints: tuple[Endpoint, ...]


class BindStep(IntEnum):
    """The three messages with which a client takes hold of a peer relay's endpoint."""

    BIND = MessageType.BIND
    CHALLENGE = MessageType.BIND_CHALLENGE
    ANSWER = MessageType.BIND_ANSWER


@dataclass(frozen=True, slots=True)
class RelayBinding:
    """One step of binding to a peer relay's endpoint."""

    step: BindStep
    vni: int
    generation: int
    remote_disco: bytes
    challenge: bytes


@dataclass(frozen=True, slots=True)
class RelayEndpoint:
    """A place on a peer relay where two clients can meet."""

    server_disco: bytes
    client_discos: tuple[bytes, bytes]
    lamport: int
    vni: int
    bind_lifetime_ns: int
    steady_lifetime_ns: int
    addresses: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class CallMeMaybeVia:
    """Asks the other side to meet at a peer relay."""

    endpoint: RelayEndpoint


@dataclass(frozen=True, slots=True)
class AllocateRequest:
    """Asks a peer relay for an endpoint."""

    client_discos: tuple[bytes, bytes]
    generation: int


@dataclass(frozen=True, slots=True)
class AllocateResponse:
    """A peer relay's answer."""

    generation: int
    endpoint: RelayEndpoint


class BirthdayStep(IntEnum):
    """What is said before ports are guessed (`node.paths.birthday_rounds`)."""

    INVITE = 1
    """Open many sockets towards this address, if your NAT is a hard one."""
    OPEN = 2
    """They are open: guess ports of this address."""


@dataclass(frozen=True, slots=True)
class Birthday:
    """One step of a round of port guessing. Travels by relay only."""

    step: BirthdayStep
    round: bytes
    """Eight random bytes of the inviting side, repeated in the answer."""
    endpoint: Endpoint


Message = (
    Ping
    | Pong
    | CallMeMaybe
    | RelayBinding
    | CallMeMaybeVia
    | AllocateRequest
    | AllocateResponse
    | Birthday
)


def pack(message: Message) -> bytes:
    """Return the plaintext of a message."""
    match message:
        case Ping(transaction, node_key, padding):
            return _headed(MessageType.PING, transaction + node_key + bytes(padding))
        case Pong(transaction, source):
            return _headed(MessageType.PONG, transaction + pack_address(source))
        case CallMeMaybe(endpoints):
            return _headed(MessageType.CALL_ME_MAYBE, _pack_addresses(endpoints))
        case RelayBinding(step, vni, generation, remote_disco, challenge):
            head = struct.pack(">II", vni, generation)
            return _headed(step, head + remote_disco + challenge)
        case CallMeMaybeVia(endpoint):
            return _headed(MessageType.CALL_ME_MAYBE_VIA, _pack_relay(endpoint))
        case AllocateRequest(client_discos, generation):
            body = b"".join(client_discos) + generation.to_bytes(4, "big")
            return _headed(MessageType.ALLOCATE_REQUEST, body)
        case AllocateResponse(generation, endpoint):
            body = generation.to_bytes(4, "big") + _pack_relay(endpoint)
            return _headed(MessageType.ALLOCATE_RESPONSE, body)
        case Birthday(step, round_, endpoint):
            return _headed(MessageType.BIRTHDAY, bytes([step]) + round_ + pack_address(endpoint))


def parse(plaintext: bytes) -> Message:
    """Read an opened box. Raises DiscoError(SHORT or UNKNOWN_TYPE)."""
    if len(plaintext) < 2:
        raise DiscoError(DiscoFault.SHORT)
    kind, version, body = plaintext[0], plaintext[1], plaintext[2:]
    match kind:
        case MessageType.PING:
            return _ping(body)
        case MessageType.PONG:
            _need(body, TRANSACTION_BYTES + ADDRESS_BYTES)
            at = TRANSACTION_BYTES
            return Pong(body[:at], _address(body[at : at + ADDRESS_BYTES]))
        case MessageType.CALL_ME_MAYBE:
            return _call_me_maybe(version, body)
        case MessageType.BIND | MessageType.BIND_CHALLENGE | MessageType.BIND_ANSWER:
            _need(body, _BIND_BYTES)
            vni, generation = struct.unpack_from(">II", body)
            return RelayBinding(BindStep(kind), vni, generation, body[8:40], body[40:72])
        case MessageType.CALL_ME_MAYBE_VIA:
            return CallMeMaybeVia(_relay(body))
        case MessageType.ALLOCATE_REQUEST:
            _need(body, 2 * KEY_BYTES + 4)
            keys = (body[:KEY_BYTES], body[KEY_BYTES : 2 * KEY_BYTES])
            return AllocateRequest(keys, int.from_bytes(body[64:68], "big"))
        case MessageType.ALLOCATE_RESPONSE:
            _need(body, 4)
            return AllocateResponse(int.from_bytes(body[:4], "big"), _relay(body[4:]))
        case MessageType.BIRTHDAY:
            return _birthday(body)
        case _:
            raise DiscoError(DiscoFault.UNKNOWN_TYPE)


def pack_address(endpoint: Endpoint) -> bytes:
    """Return 16 bytes of address, IPv4 mapped, and 2 of port."""
    packed = endpoint.ip.packed
    return (packed if len(packed) == 16 else _MAPPED + packed) + endpoint.port.to_bytes(2, "big")


def _headed(kind: int, body: bytes) -> bytes:
    return bytes((kind, 0)) + body


def _need(body: bytes, least: int) -> None:
    if len(body) < least:
        raise DiscoError(DiscoFault.SHORT)


def _ping(body: bytes) -> Ping:
    _need(body, TRANSACTION_BYTES)
    rest = body[TRANSACTION_BYTES:]
    if len(rest) < KEY_BYTES:
        return Ping(body[:TRANSACTION_BYTES], b"", len(rest))
    return Ping(body[:TRANSACTION_BYTES], rest[:KEY_BYTES], len(rest) - KEY_BYTES)


def _call_me_maybe(version: int, body: bytes) -> CallMeMaybe:
    # A list we cannot read is an empty list, not an error: that is how versions were planned.
    if version or len(body) % ADDRESS_BYTES:
        return CallMeMaybe(())
    return CallMeMaybe(_addresses(body))


def _birthday(body: bytes) -> Birthday:
    _need(body, 1 + ROUND_BYTES + ADDRESS_BYTES)
    if body[0] not in set(BirthdayStep):
        raise DiscoError(DiscoFault.UNKNOWN_TYPE)
    at = 1 + ROUND_BYTES
    return Birthday(BirthdayStep(body[0]), body[1:at], _address(body[at : at + ADDRESS_BYTES]))


def _address(data: bytes) -> Endpoint:
    packed = IPv6Address(data[:16])
    return Endpoint(packed.ipv4_mapped or packed, int.from_bytes(data[16:18], "big"))


def _addresses(data: bytes) -> tuple[Endpoint, ...]:
    return tuple(_address(data[at : at + 18]) for at in range(0, len(data), ADDRESS_BYTES))


def _pack_addresses(endpoints: tuple[Endpoint, ...]) -> bytes:
    return b"".join(map(pack_address, endpoints))


def _pack_relay(endpoint: RelayEndpoint) -> bytes:
    head = _RELAY.pack(
        endpoint.server_disco,
        b"".join(endpoint.client_discos),
        endpoint.lamport,
        endpoint.vni,
        endpoint.bind_lifetime_ns,
        endpoint.steady_lifetime_ns,
    )
    return head + _pack_addresses(endpoint.addresses)


def _relay(body: bytes) -> RelayEndpoint:
    _need(body, _RELAY.size + ADDRESS_BYTES)
    server, clients, lamport, vni, bind_ns, steady_ns = _RELAY.unpack_from(body)
    rest = body[_RELAY.size :]
    whole = len(rest) - len(rest) % ADDRESS_BYTES
    return RelayEndpoint(
        server,
        (clients[:KEY_BYTES], clients[KEY_BYTES:]),
        lamport,
        vni,
        bind_ns,
        steady_ns,
        _addresses(rest[:whole]),
    )
