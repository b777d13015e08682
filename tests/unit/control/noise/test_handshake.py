"""The IK handshake against published vectors, for both roles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from control.keys import MachinePrivate, MachinePublic
from control.noise import (
    HandshakeError,
    HandshakeFault,
    Initiator,
    Responder,
    TransportKeys,
    decode_handshake_header,
    encode_error_frame,
    encode_handshake_header,
)

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("ts2021.json").read_text())
HANDSHAKES = [VECTORS["handshake"], VECTORS["handshake_other_version"]]


def private(name: str) -> MachinePrivate:
    return MachinePrivate(bytes.fromhex(VECTORS["keys"][name]["private_clamped"]))


def ephemeral(name: str) -> Any:
    raw = bytes.fromhex(VECTORS["keys"][name]["private_clamped"])
    return lambda _length: raw


def initiator(version: int) -> Initiator:
    return Initiator(
        version=version,
        machine=private("machine"),
        server=private("server_static").public,
        entropy=ephemeral("client_ephemeral"),
    )


def responder(initiation: bytes) -> Responder:
    return Responder(
        initiation, control=private("server_static"), entropy=ephemeral("server_ephemeral")
    )


def expected_keys(vector: dict[str, Any]) -> TransportKeys:
    names = ("k1_client_to_server", "k2_server_to_client", "handshake_hash")
    return TransportKeys(*(bytes.fromhex(vector[name]) for name in names))


@pytest.mark.parametrize("vector", HANDSHAKES)
def test_initiation_is_the_published_one(vector: dict[str, Any]) -> None:
    assert initiator(vector["version"]).initiation.hex() == vector["initiation"]


@pytest.mark.parametrize("vector", HANDSHAKES)
def test_response_is_the_published_one(vector: dict[str, Any]) -> None:
    answered = responder(bytes.fromhex(vector["initiation"]))
    assert answered.response.hex() == vector["response"]
    assert answered.version == vector["version"]
    assert answered.machine == private("machine").public


@pytest.mark.parametrize("vector", HANDSHAKES)
def test_both_roles_end_with_the_published_keys(vector: dict[str, Any]) -> None:
    finished = initiator(vector["version"]).receive(bytes.fromhex(vector["response"]))
    assert finished == (expected_keys(vector), b"")
    assert responder(bytes.fromhex(vector["initiation"])).keys == expected_keys(vector)


@pytest.mark.parametrize("case", VECTORS["server_must_reject_initiation"], ids=lambda c: c["why"])
def test_responder_refuses(case: dict[str, Any]) -> None:
    with pytest.raises(HandshakeError):
        responder(bytes.fromhex(case["initiation"]))


@pytest.mark.parametrize("case", VECTORS["client_must_reject_response"], ids=lambda c: c["why"])
def test_initiator_refuses(case: dict[str, Any]) -> None:
    with pytest.raises(HandshakeError):
        initiator(145).receive(bytes.fromhex(case["response"]))


def test_initiator_takes_the_response_byte_by_byte_and_keeps_what_follows() -> None:
    response = bytes.fromhex(VECTORS["handshake"]["response"])
    role = initiator(145)
    for byte in response[:-1]:
        assert role.receive(bytes([byte])) is None
    assert role.receive(response[-1:] + b"after") == (
        expected_keys(VECTORS["handshake"]),
        b"after",
    )


def test_error_frame_is_the_published_one() -> None:
    vector = VECTORS["error_frame"]
    assert encode_error_frame(vector["text_ascii"]).hex() == vector["frame"]


def test_error_frame_becomes_a_hint() -> None:
    role = initiator(145)
    frame = encode_error_frame("unsupported client")
    assert role.receive(frame[:-1]) is None
    with pytest.raises(HandshakeError, match="unsupported client") as caught:
        role.receive(frame[-1:])
    assert caught.value.fault is HandshakeFault.SERVER_REFUSED


def test_error_frame_longer_than_a_record_is_not_waited_for() -> None:
    with pytest.raises(HandshakeError) as caught:
        initiator(145).receive(b"\x03\xff\xff")
    assert caught.value.fault is HandshakeFault.RESPONSE_SHAPE


@pytest.mark.parametrize(
    ("initiation", "fault"),
    [
        (bytes(100), HandshakeFault.INITIATION_SIZE),
        (b"\x00\x91\x02\x00\x60" + bytes(96), HandshakeFault.INITIATION_TYPE),
        (b"\x00\x91\x01\x00\x61" + bytes(96), HandshakeFault.INITIATION_LENGTH),
        (b"\x00\x91\x01\x00\x60" + bytes(96), HandshakeFault.LOW_ORDER_POINT),
    ],
)
def test_only_faults_of_shape_are_told(initiation: bytes, fault: HandshakeFault) -> None:
    with pytest.raises(HandshakeError) as caught:
        responder(initiation)
    assert caught.value.fault is fault
    assert fault.is_told_to_the_peer == (fault is not HandshakeFault.LOW_ORDER_POINT)


def test_another_servers_key_does_not_answer() -> None:
    stranger = Initiator(
        version=145,
        machine=private("machine"),
        server=MachinePublic(private("node").public.raw),
        entropy=ephemeral("client_ephemeral"),
    )
    with pytest.raises(HandshakeError) as caught:
        responder(stranger.initiation)
    assert caught.value.fault is HandshakeFault.NOT_AUTHENTIC


def test_header_form_is_the_published_one() -> None:
    vector = VECTORS["handshake"]
    raw = bytes.fromhex(vector["initiation"])
    assert encode_handshake_header(raw) == vector["initiation_b64"]
    assert decode_handshake_header(vector["initiation_b64"]) == raw


@pytest.mark.parametrize("value", ["*", "AJEB", "A" * 300, "AJEB\n"])
def test_header_that_holds_no_initiation_is_refused(value: str) -> None:
    with pytest.raises((ValueError, HandshakeError)):
        responder(decode_handshake_header(value))


def test_transport_keys_are_not_shown() -> None:
    assert VECTORS["handshake"]["k1_client_to_server"][:8] not in repr(
        expected_keys(VECTORS["handshake"])
    )
