"""Frames of a map stream against published ones, and every bound."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from control.wire import WireError
from control.wire.framing import (
    KEEP_ALIVE_JSON,
    MapFrameDecoder,
    compress,
    decompress,
    frame,
)

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "noise" / "ts2021.json").read_text()
)["map_framing"]
KEEP_ALIVE = bytes.fromhex(VECTORS["keepalive_zstd_frame_example"])


def documents(data: bytes, **options: Any) -> list[bytes]:
    return list(MapFrameDecoder(is_compressed=True, **options).receive(data))


def test_plain_frame_is_the_published_one() -> None:
    assert frame(KEEP_ALIVE_JSON).hex() == VECTORS["keepalive_plain_frame"]
    assert VECTORS["keepalive_json"].encode() == KEEP_ALIVE_JSON


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("keepalive_zstd_frame_example", "keepalive_json"),
        ("delta_zstd_frame_example", "delta_json"),
        ("delta_zstd_without_content_size", "delta_json"),
        ("multi_frame_zstd", "multi_frame_json"),
    ],
)
def test_published_frames_decode(name: str, content: str) -> None:
    assert documents(bytes.fromhex(VECTORS[name])) == [VECTORS[content].encode()]


def test_published_stream_of_three_decodes() -> None:
    assert len(documents(bytes.fromhex(VECTORS["stream_of_three"]))) == 3


def test_plain_stream_passes_payloads_on() -> None:
    decoder = MapFrameDecoder(is_compressed=False)
    assert list(decoder.receive(frame(b"{}") + frame(b"[]"))) == [b"{}", b"[]"]


def test_compressed_pieces_make_one_document() -> None:
    assert documents(frame(compress(b'{"a":'), compress(b"1"), compress(b"}"))) == [b'{"a":1}']


def test_keepalive_is_recognised_again() -> None:
    assert documents(KEEP_ALIVE * 3) == [KEEP_ALIVE_JSON] * 3


def test_empty_frame_is_refused() -> None:
    with pytest.raises(WireError, match="out of bounds"):
        documents(struct.pack("<I", 0))


def test_long_frame_is_refused_before_it_arrives() -> None:
    with pytest.raises(WireError, match="out of bounds"):
        documents(struct.pack("<I", 101), max_payload=100)


def test_expansion_is_bounded() -> None:
    bomb = frame(compress(bytes(1_000_000)))
    with pytest.raises(WireError, match="when decompressed"):
        documents(bomb, max_json=999_999)
    assert documents(bomb, max_json=1_000_000) == [bytes(1_000_000)]


def test_expansion_is_bounded_over_all_pieces() -> None:
    piece = compress(bytes(600))
    with pytest.raises(WireError, match="when decompressed"):
        documents(frame(piece, piece), max_json=1000)


@pytest.mark.parametrize("payload", [b"\x00", b"{}", compress(b"{}")[:-1], compress(b"{}") + b"x"])
def test_payload_that_is_not_whole_frames_is_refused(payload: bytes) -> None:
    with pytest.raises(WireError):
        documents(frame(payload))


def test_decoder_knows_whether_it_may_end() -> None:
    decoder = MapFrameDecoder(is_compressed=True)
    states = [decoder.is_between_frames]
    for part in (KEEP_ALIVE[:5], KEEP_ALIVE[5:]):
        decoder.receive(part)
        states.append(decoder.is_between_frames)
    assert states == [True, False, True]


def test_nothing_decompresses_to_nothing() -> None:
    assert decompress(b"") == b""
