"""Disco messages and their sealing against the recorded vectors."""

from __future__ import annotations

from typing import Any

import pytest

from control.keys import DiscoPrivate
from node.disco import geneve, messages
from node.disco.errors import DiscoError, DiscoFault
from node.disco.sealing import DiscoSealer
from node.transport.endpoint import Endpoint
from tests.support.vectors import load

VECTORS = load("paths", "disco")
MESSAGES = {case["name"]: case for case in VECTORS["messages"]}
TX = bytes(range(1, 13))
NODE_A = bytes.fromhex(VECTORS["node_a_public"])
PAIR = (Endpoint.parse("1.2.3.4:567"), Endpoint.parse("[2001::3456]:789"))

MEANINGS: dict[str, messages.Message] = {
    "ping": messages.Ping(TX),
    "ping_nodekey": messages.Ping(TX, NODE_A),
    "ping_nodekey_pad3": messages.Ping(TX, NODE_A, padding=3),
    "pong_v4": messages.Pong(TX, Endpoint.parse("2.3.4.5:1234")),
    "pong_v6": messages.Pong(TX, Endpoint.parse("[fed0::12]:6666")),
    "pong_over_derp_region_1": messages.Pong(TX, Endpoint.parse("127.3.3.40:1")),
    "call_me_maybe_empty": messages.CallMeMaybe(()),
    "call_me_maybe_2": messages.CallMeMaybe(PAIR),
}


def sealers() -> tuple[DiscoSealer, DiscoSealer]:
    """Return the two nodes of the vectors; the first draws the recorded nonce."""
    nonce = bytes.fromhex(VECTORS["nonce"])
    pair = []
    for name, other in (("a", "b"), ("b", "a")):
        private = DiscoPrivate(bytes.fromhex(VECTORS[f"disco_{name}_private"]))
        sealer = DiscoSealer(private, lambda _count: nonce)
        sealer.set_peers([bytes.fromhex(VECTORS[f"disco_{other}_public"])])
        pair.append(sealer)
    return pair[0], pair[1]


@pytest.mark.parametrize("name", MEANINGS)
def test_message_means_what_the_vector_says(name: str) -> None:
    plaintext = bytes.fromhex(MESSAGES[name]["plaintext"])
    assert messages.parse(plaintext) == MEANINGS[name]
    assert messages.pack(MEANINGS[name]) == plaintext


@pytest.mark.parametrize("case", VECTORS["messages"], ids=lambda case: case["name"])
def test_every_message_survives_reading_and_writing(case: dict[str, str]) -> None:
    plaintext = bytes.fromhex(case["plaintext"])
    assert messages.pack(messages.parse(plaintext)) == plaintext


@pytest.mark.parametrize("case", VECTORS["messages"], ids=lambda case: case["name"])
def test_sealing_matches_the_vector_and_opens(case: dict[str, Any]) -> None:
    alice, bob = sealers()
    message = messages.parse(bytes.fromhex(case["plaintext"]))
    packet = alice.seal(message, bob.public)
    assert packet.hex() == case["packet"]
    assert len(packet) == case["len"]
    assert bob.open(packet) == (alice.public, message)


def test_peer_relay_fields_are_where_they_belong() -> None:
    via = messages.parse(bytes.fromhex(MESSAGES["call_me_maybe_via"]["plaintext"]))
    assert isinstance(via, messages.CallMeMaybeVia)
    endpoint = via.endpoint
    assert (endpoint.lamport, endpoint.vni) == (123, 456)
    assert endpoint.bind_lifetime_ns == 1_000_000_000
    assert endpoint.steady_lifetime_ns == 60_000_000_000
    assert endpoint.addresses == PAIR


def test_bind_fields_are_where_they_belong() -> None:
    bind = messages.parse(bytes.fromhex(MESSAGES["bind_challenge"]["plaintext"]))
    assert isinstance(bind, messages.RelayBinding)
    assert (bind.step, bind.vni, bind.generation) == (messages.BindStep.CHALLENGE, 1, 2)
    assert bind.challenge == bytes(range(32))


EDGES: dict[str, messages.Message | DiscoFault] = {
    "030100000000000000000000ffff010203040237": messages.CallMeMaybe(()),
    "030000000000000000000000ffff01020304023778": messages.CallMeMaybe(()),
    "01000102030405060708090a0b": DiscoFault.SHORT,
    "01": DiscoFault.SHORT,
    "63000102030405060708090a0b0c": DiscoFault.UNKNOWN_TYPE,
    "01070102030405060708090a0b0c": messages.Ping(TX),
    "02000102030405060708090a0b0c00000000000000000000ffff0203040504d27a7a": MEANINGS["pong_v4"],
}


def test_every_recorded_edge_is_looked_at() -> None:
    assert {case["plaintext"] for case in VECTORS["parse_edge_cases"]} == set(EDGES)


@pytest.mark.parametrize("plaintext", EDGES)
def test_edge_case(plaintext: str) -> None:
    expected = EDGES[plaintext]
    try:
        found: messages.Message | DiscoFault = messages.parse(bytes.fromhex(plaintext))
    except DiscoError as error:
        found = error.fault
    assert found == expected


@pytest.mark.parametrize("case", VECTORS["geneve"], ids=lambda case: case["proto"])
def test_geneve_header(case: dict[str, Any]) -> None:
    packet = bytes.fromhex(case["bytes"])
    header = geneve.parse_header(packet)
    assert header.vni == case["vni"]
    assert header.is_control == case["control"]
    assert header.protocol.name.lower() in case["proto"]
    assert geneve.pack_header(header) == packet[: geneve.HEADER_BYTES]


@pytest.mark.parametrize("step", messages.BirthdayStep)
def test_birthday_message_survives_reading_and_writing(step: messages.BirthdayStep) -> None:
    message = messages.Birthday(step, b"12345678", PAIR[0])
    plaintext = messages.pack(message)
    assert plaintext == bytes((0xB0, 0, step)) + b"12345678" + messages.pack_address(PAIR[0])
    assert messages.parse(plaintext + b"later versions say more") == message


@pytest.mark.parametrize(
    ("body", "fault"),
    [(bytes((3,)) + bytes(26), DiscoFault.UNKNOWN_TYPE), (bytes((1,)) * 26, DiscoFault.SHORT)],
)
def test_birthday_message_that_is_none(body: bytes, fault: DiscoFault) -> None:
    with pytest.raises(DiscoError) as caught:
        messages.parse(bytes((0xB0, 0)) + body)
    assert caught.value.fault is fault


def test_strangers_packet_is_dropped_before_any_crypto() -> None:
    alice, bob = sealers()
    packet = alice.seal(messages.Ping(TX), bob.public)
    bob.set_peers([])
    with pytest.raises(DiscoError) as caught:
        bob.open(packet)
    assert caught.value.fault is DiscoFault.UNKNOWN_SENDER


def test_own_packet_that_comes_back_is_told_apart() -> None:
    alice, bob = sealers()
    with pytest.raises(DiscoError) as caught:
        alice.open(alice.seal(messages.Ping(TX), bob.public))
    assert caught.value.fault is DiscoFault.OWN_KEY


def test_zero_key_means_a_peer_without_disco() -> None:
    alice, _bob = sealers()
    alice.set_peers([bytes(32)])
    assert not alice.knows(bytes(32))
