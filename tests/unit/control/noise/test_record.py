"""Records against published vectors, and every reason to close."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from control.noise import MAX_PLAINTEXT_BYTES, MAX_RECORD_BYTES, RecordError
from control.noise.record import RecordOpener, RecordSealer

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("ts2021.json").read_text())
KEY = {
    "c2s": bytes.fromhex(VECTORS["handshake"]["k1_client_to_server"]),
    "s2c": bytes.fromhex(VECTORS["handshake"]["k2_server_to_client"]),
}
STREAMS = [("c2s", "records_client_to_server"), ("s2c", "records_server_to_client")]


@pytest.mark.parametrize(("direction", "name"), STREAMS)
def test_sealed_records_are_the_published_ones(direction: str, name: str) -> None:
    sealer = RecordSealer(KEY[direction])
    frames = [sealer.seal(bytes.fromhex(record["plaintext"])).hex() for record in VECTORS[name]]
    assert frames == [record["frame"] for record in VECTORS[name]]


@pytest.mark.parametrize(("direction", "name"), STREAMS)
def test_published_records_open(direction: str, name: str) -> None:
    opener = RecordOpener(KEY[direction])
    stream = bytes.fromhex("".join(record["frame"] for record in VECTORS[name]))
    expected = bytes.fromhex("".join(record["plaintext"] for record in VECTORS[name]))
    assert opener.receive(stream) == expected


@pytest.mark.parametrize("record", VECTORS["records_far_nonces"], ids=lambda r: r["nonce_counter"])
def test_counter_is_big_endian(record: dict[str, Any]) -> None:
    key, counter = KEY[record["direction"]], int(record["nonce_counter"])
    frame, plaintext = bytes.fromhex(record["frame"]), bytes.fromhex(record["plaintext"])
    assert RecordSealer(key, counter=counter).seal(plaintext) == frame
    assert RecordOpener(key, counter=counter).receive(frame) == plaintext


def test_last_counter_is_never_used() -> None:
    sealer = RecordSealer(bytes(32), counter=2**64 - 1)
    with pytest.raises(RecordError, match="used up"):
        sealer.seal(b"x")


@pytest.mark.parametrize(
    "case",
    [c for c in VECTORS["receiver_must_close_on_record"] if "replayed" not in c["why"]],
    ids=lambda c: c["why"],
)
def test_receiver_closes_on(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case.get("frame", case.get("frame_prefix", "")))
    with pytest.raises(RecordError):
        RecordOpener(KEY["s2c"]).receive(data)


def test_replayed_record_is_refused() -> None:
    first = bytes.fromhex(VECTORS["records_server_to_client"][0]["frame"])
    opener = RecordOpener(KEY["s2c"])
    assert opener.receive(first)
    with pytest.raises(RecordError, match="authenticate"):
        opener.receive(first)


def test_broken_channel_stays_broken() -> None:
    opener = RecordOpener(bytes(32))
    with pytest.raises(RecordError):
        opener.receive(b"\x03\x00\x10")
    with pytest.raises(RecordError, match="already broken"):
        opener.receive(RecordSealer(bytes(32)).seal(b"x"))


def test_long_plaintext_is_cut_into_full_records() -> None:
    sealed = RecordSealer(bytes(32)).seal(bytes(2 * MAX_PLAINTEXT_BYTES + 1))
    assert len(sealed) == 2 * MAX_RECORD_BYTES + 3 + 16 + 1
    assert RecordOpener(bytes(32)).receive(sealed) == bytes(2 * MAX_PLAINTEXT_BYTES + 1)


def test_direction_keys_are_not_interchangeable() -> None:
    with pytest.raises(RecordError):
        RecordOpener(KEY["c2s"]).receive(RecordSealer(KEY["s2c"]).seal(b"x"))
