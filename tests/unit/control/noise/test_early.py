"""The early payload: present, absent, and wrong."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from control.keys import ChallengePublic
from control.noise import (
    EarlyPayload,
    EarlyPayloadDecoder,
    EarlyPayloadError,
    encode_early_payload,
)

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("ts2021.json").read_text())
FRAME = bytes.fromhex(VECTORS["early_noise"]["frame"])
CHALLENGE = ChallengePublic.from_text("chalpub:" + VECTORS["keys"]["challenge"]["public"])
SETTINGS = bytes.fromhex(VECTORS["records_server_to_client"][1]["plaintext"])


def test_encoded_form_is_the_published_one() -> None:
    assert encode_early_payload(EarlyPayload(CHALLENGE)) == FRAME


def test_payload_is_taken_off_the_front() -> None:
    decoder = EarlyPayloadDecoder()
    assert decoder.receive(FRAME + SETTINGS) == SETTINGS
    assert decoder.payload == EarlyPayload(CHALLENGE)


def test_http2_without_a_payload_passes_through() -> None:
    decoder = EarlyPayloadDecoder()
    assert decoder.receive(SETTINGS) == SETTINGS
    assert decoder.payload is None


def test_payload_is_recognised_byte_by_byte() -> None:
    decoder = EarlyPayloadDecoder()
    passed = b"".join(decoder.receive(bytes([byte])) for byte in FRAME + SETTINGS)
    assert passed == SETTINGS
    assert decoder.payload == EarlyPayload(CHALLENGE)


def test_magic_is_only_looked_for_at_the_start() -> None:
    decoder = EarlyPayloadDecoder()
    assert decoder.receive(SETTINGS) + decoder.receive(FRAME) == SETTINGS + FRAME


def frame(body: bytes) -> bytes:
    return FRAME[:5] + struct.pack(">I", len(body)) + body


def test_unknown_fields_are_ignored() -> None:
    decoder = EarlyPayloadDecoder()
    decoder.receive(frame(b'{"later":1}'))
    assert decoder.payload == EarlyPayload()


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"7", b"{", b'{"nodeKeyChallenge":7}', b'{"nodeKeyChallenge":"x"}', b"\xff"],
)
def test_body_that_is_not_the_json_it_must_be_is_refused(body: bytes) -> None:
    with pytest.raises(EarlyPayloadError):
        EarlyPayloadDecoder().receive(frame(body))


def test_length_is_bounded_before_anything_is_awaited() -> None:
    with pytest.raises(EarlyPayloadError, match="too many"):
        EarlyPayloadDecoder().receive(FRAME[:5] + struct.pack(">I", 10 * 1024 * 1024 + 1))
