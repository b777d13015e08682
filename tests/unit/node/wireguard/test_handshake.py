"""Handshake, cookie, replay and transport against recorded vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from node.transport.endpoint import Endpoint
from node.wireguard import primitives
from node.wireguard.constants import REJECT_AFTER_MESSAGES, REPLAY_WINDOW
from node.wireguard.cookie import CookieChecker, CookieJar
from node.wireguard.device import Device
from node.wireguard.events import Drop
from node.wireguard.handshake import (
    INITIAL_CHAIN,
    INITIAL_HASH,
    InitiatorHandshake,
    ResponderHandshake,
    TransportKeys,
)
from node.wireguard.inner import trimmed_length
from node.wireguard.keys import SecretKey
from node.wireguard.messages import CookieReply, Initiation, Response, message_type
from node.wireguard.primitives import CryptographyRefusedError
from node.wireguard.replay import ReplayWindow
from node.wireguard.session import Session
from node.wireguard.tai64n import encode

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "golden" / "wireguard" / "handshake.json").read_text()
)
KEYS = {name: bytes.fromhex(value) for name, value in VECTORS["keys"].items()}
MAC1_INITIATION = bytes.fromhex(VECTORS["initiation"]["bytes"])
NEGATIVE = {case["name"]: case for case in VECTORS["negative"]}


def initiator(preshared: SecretKey | None = None) -> tuple[InitiatorHandshake, Initiation]:
    handshake = InitiatorHandshake(
        SecretKey(KEYS["initiator_static_private"]),
        preshared,
        VECTORS["sender_index_initiator"],
    )
    message = handshake.initiate(
        KEYS["responder_static_public"],
        KEYS["initiator_ephemeral_private"],
        bytes.fromhex(VECTORS["tai64n"]["hex"]),
    )
    return handshake, message


def responder() -> ResponderHandshake:
    return ResponderHandshake(
        SecretKey(KEYS["responder_static_private"]),
        KEYS["responder_static_public"],
        Initiation.unpack(MAC1_INITIATION),
    )


def test_initial_chain_and_hash_are_the_published_ones() -> None:
    assert INITIAL_CHAIN.hex() == VECTORS["initial_chain_key"]
    assert INITIAL_HASH.hex() == VECTORS["initial_hash"]


@pytest.mark.parametrize("case", VECTORS["kdf"], ids=lambda case: case["key"] or "empty")
def test_kdf_vector(case: dict[str, Any]) -> None:
    keys = primitives.kdf(3, bytes.fromhex(case["key"]), bytes.fromhex(case["input"]))
    assert [key.hex() for key in keys] == case["t"]


def test_timestamp_hides_the_low_bits() -> None:
    assert encode(int(VECTORS["tai64n"]["unix_ns"])).hex() == VECTORS["tai64n"]["hex"]


def test_initiation_is_rebuilt_byte_for_byte() -> None:
    _, message = initiator()
    jar = CookieJar(KEYS["responder_static_public"])
    assert jar.add_macs(message.pack(), now=0.0) == MAC1_INITIATION


def test_responder_reads_the_initiator_and_its_timestamp() -> None:
    handshake = responder()
    assert handshake.remote_public == KEYS["initiator_static_public"]
    assert handshake.read_timestamp().hex() == VECTORS["tai64n"]["hex"]


@pytest.mark.parametrize("with_psk", [True, False], ids=["psk", "no_psk"])
def test_response_and_transport_keys_are_rebuilt(with_psk: bool) -> None:
    preshared = SecretKey(KEYS["preshared_key"]) if with_psk else None
    want = VECTORS["response"] if with_psk else VECTORS["response_without_psk"]
    handshake = responder()
    handshake.read_timestamp()
    response, keys = handshake.respond(
        preshared, KEYS["responder_ephemeral_private"], VECTORS["sender_index_responder"]
    )
    jar = CookieJar(KEYS["initiator_static_public"])
    assert jar.add_macs(response.pack(), now=0.0).hex() == want["bytes"]
    source = VECTORS if with_psk else want
    assert keys.receive.hex() == source["transport_key_initiator_to_responder"]
    assert keys.send.hex() == source["transport_key_responder_to_initiator"]


@pytest.mark.parametrize("with_psk", [True, False], ids=["psk", "no_psk"])
def test_initiator_derives_the_same_keys_from_the_response(with_psk: bool) -> None:
    preshared = SecretKey(KEYS["preshared_key"]) if with_psk else None
    want = VECTORS["response"] if with_psk else VECTORS["response_without_psk"]
    handshake, _ = initiator(preshared)
    keys = handshake.finish(Response.unpack(bytes.fromhex(want["bytes"])))
    source = VECTORS if with_psk else want
    assert keys.send.hex() == source["transport_key_initiator_to_responder"]
    assert keys.remote_index == VECTORS["sender_index_responder"]


def test_a_forged_response_leaves_the_handshake_waiting() -> None:
    preshared = SecretKey(KEYS["preshared_key"])
    handshake, _ = initiator(preshared)
    good = bytes.fromhex(VECTORS["response"]["bytes"])
    forged = bytearray(good)
    forged[50] ^= 1
    with pytest.raises(CryptographyRefusedError):
        handshake.finish(Response.unpack(bytes(forged)))
    assert handshake.finish(Response.unpack(good)).is_initiator


def session(direction: str) -> Session:
    to_responder = bytes.fromhex(VECTORS["transport_key_initiator_to_responder"])
    to_initiator = bytes.fromhex(VECTORS["transport_key_responder_to_initiator"])
    if direction == "i2r":
        keys = TransportKeys(
            to_responder,
            to_initiator,
            VECTORS["sender_index_initiator"],
            VECTORS["sender_index_responder"],
            is_initiator=True,
        )
    else:
        keys = TransportKeys(
            to_initiator,
            to_responder,
            VECTORS["sender_index_responder"],
            VECTORS["sender_index_initiator"],
            is_initiator=False,
        )
    return Session(keys, bytes(32), now=0.0)


@pytest.mark.parametrize("case", VECTORS["transport"], ids=lambda case: str(case["counter"]))
def test_transport_vector_is_sealed(case: dict[str, Any]) -> None:
    sender = session(case["dir"])
    sender.send_counter = case["counter"]
    assert sender.seal(bytes.fromhex(case["plaintext"]), mtu=1420).hex() == case["bytes"]


@pytest.mark.parametrize("case", VECTORS["transport"], ids=lambda case: str(case["counter"]))
def test_transport_vector_is_opened_once(case: dict[str, Any]) -> None:
    receiver = session("r2i" if case["dir"] == "i2r" else "i2r")
    plaintext = receiver.open(bytes.fromhex(case["bytes"]))
    packet = bytes.fromhex(case["plaintext"])
    assert plaintext is not None
    assert plaintext.startswith(packet)
    assert not any(plaintext[len(packet) :])
    assert receiver.open(bytes.fromhex(case["bytes"])) is None


def test_cookie_reply_vector_is_made_and_used() -> None:
    vector = VECTORS["cookie"]
    draws = iter([bytes.fromhex(vector["server_secret"]), bytes.fromhex(vector["nonce"])])
    checker = CookieChecker(KEYS["responder_static_public"], lambda _: next(draws))
    source = Endpoint.parse(vector["src"]).cookie_source()
    assert source.hex() == vector["cookie_input"]
    reply = checker.reply(MAC1_INITIATION, source, now=0.0)
    assert reply.pack().hex() == vector["reply"]
    _, message = initiator()
    jar = CookieJar(KEYS["responder_static_public"])
    jar.add_macs(message.pack(), now=0.0)
    assert jar.consume(CookieReply.unpack(bytes.fromhex(vector["reply"])), now=0.0)
    with_mac2 = jar.add_macs(message.pack(), now=1.0)
    assert with_mac2.hex() == vector["initiation_with_mac2"]
    assert checker.has_mac2(with_mac2, source, now=1.0)


def test_cookie_is_bound_to_the_port() -> None:
    vector = VECTORS["cookie"]
    draws = iter([bytes.fromhex(vector["server_secret"]), bytes.fromhex(vector["nonce"])])
    checker = CookieChecker(KEYS["responder_static_public"], lambda _: next(draws))
    checker.reply(MAC1_INITIATION, Endpoint.parse(vector["src"]).cookie_source(), now=0.0)
    elsewhere = Endpoint.parse("192.0.2.7:51821").cookie_source()
    message = bytes.fromhex(vector["initiation_with_mac2"])
    assert not checker.has_mac2(message, elsewhere, now=1.0)


def test_ipv6_cookie_input_vector() -> None:
    vector = VECTORS["cookie"]
    source = Endpoint.parse(vector["src6"]).cookie_source()
    assert source.hex() == vector["cookie_input6"]
    assert primitives.mac(bytes.fromhex(vector["server_secret"]), source).hex() == vector["cookie6"]


def test_replay_vector_sequence() -> None:
    window = ReplayWindow()
    for counter, want in VECTORS["replay"]["sequence"]:
        assert window.accept(int(counter)) is want, counter


def test_replay_limits_are_those_of_the_vectors() -> None:
    assert VECTORS["replay"]["window"] == REPLAY_WINDOW
    assert int(VECTORS["replay"]["reject_after_messages"]) == REJECT_AFTER_MESSAGES


def responding_device() -> Device:
    device = Device(
        SecretKey(KEYS["responder_static_private"]), entropy=lambda n: b"\7" * n, unix_ns=lambda: 0
    )
    device.add_peer(KEYS["initiator_static_public"], SecretKey(KEYS["preshared_key"]))
    return device


SOURCE = Endpoint.parse("192.0.2.7:51820")


def test_low_order_public_key_is_refused() -> None:
    case = NEGATIVE["low-order responder static (all zero)"]
    handshake = InitiatorHandshake(SecretKey(KEYS["initiator_static_private"]), None, 1)
    with pytest.raises(CryptographyRefusedError):
        handshake.initiate(
            bytes.fromhex(case["peer_public"]), KEYS["initiator_ephemeral_private"], bytes(12)
        )


def test_flipped_mac1_is_dropped_in_silence() -> None:
    device = responding_device()
    message = bytes.fromhex(NEGATIVE["initiation with flipped mac1 bit"]["bytes"])
    device.receive(message, SOURCE, now=1.0)
    assert device.deadline() is None
    assert device.transmit() == []
    assert device.drops == {Drop.BAD_MAC1: 1}


def test_replayed_initiation_is_dropped() -> None:
    device = responding_device()
    for now in (1.0, 2.0):
        device.receive(MAC1_INITIATION, SOURCE, now)
        device.on_deadline(now)
    assert len(device.transmit()) == 1
    assert device.drops == {Drop.STALE_TIMESTAMP: 1}


@pytest.mark.parametrize(
    "name", ["type field with non-zero reserved bytes", "truncated transport (31 bytes)"]
)
def test_malformed_message_is_noise(name: str) -> None:
    assert message_type(bytes.fromhex(NEGATIVE[name]["bytes"])) is None


def test_inner_length_beyond_the_plaintext_is_malformed() -> None:
    case = NEGATIVE["inner IPv4 total length larger than decrypted payload"]
    assert trimmed_length(bytes.fromhex(case["plaintext"])) is None
