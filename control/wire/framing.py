"""Frames of a map stream: `u32 n, little-endian`, then n bytes of JSON, compressed or not.

A compressed payload is one or more whole zstd frames, whose contents together are the JSON. That
lets a server put a message together from pieces it compressed earlier.
"""

from __future__ import annotations

import json
import struct
import sys
from typing import TYPE_CHECKING, Final

from control.wire._codec import Json, WireError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["KEEP_ALIVE_JSON", "MapFrameDecoder", "compress", "decompress", "dump_json", "frame"]

_LENGTH: Final = struct.Struct("<I")
_LEVEL: Final = 1
KEEP_ALIVE_JSON: Final = b'{"KeepAlive":true}'
"""Exactly these bytes: nodes recognise a keepalive without decoding it."""

MAX_PAYLOAD_BYTES: Final = 64 << 20
MAX_JSON_BYTES: Final = 512 << 20


def dump_json(value: Json) -> bytes:
    """Return compact JSON in UTF-8."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def compress(data: bytes) -> bytes:
    """Return one zstd frame."""
    return zstd.compress(data, _LEVEL)


def frame(*payload_pieces: bytes) -> bytes:
    """Return the pieces as one frame, with the length of all in front."""
    return b"".join((_LENGTH.pack(sum(map(len, payload_pieces))), *payload_pieces))


def decompress(payload: bytes, *, most: int = MAX_JSON_BYTES) -> bytes:
    """Return the content of all zstd frames in `payload`, at most `most` bytes in total.

    Raises WireError for what is not zstd, is cut short or grows past the limit.
    """
    pieces: list[bytes] = []
    left = most
    while payload:
        decompressor = zstd.ZstdDecompressor()
        try:
            piece = decompressor.decompress(payload, left + 1)
        except zstd.ZstdError:
            raise WireError("map frame: not zstd") from None
        left -= len(piece)
        if left < 0:
            raise WireError(f"map frame: more than {most} bytes when decompressed")
        if not decompressor.eof:
            raise WireError("map frame: compressed data is cut short")
        pieces.append(piece)
        payload = decompressor.unused_data
    return b"".join(pieces)


class MapFrameDecoder:
    """Cuts a map stream into JSON documents, whatever the chunks it comes in."""

    __slots__ = ("_buffer", "_is_compressed", "_keep_alive", "_max_json", "_max_payload")

    def __init__(
        self,
        *,
        is_compressed: bool,
        max_payload: int = MAX_PAYLOAD_BYTES,
        max_json: int = MAX_JSON_BYTES,
    ) -> None:
        self._is_compressed = is_compressed
        self._buffer = bytearray()
        self._keep_alive: bytes | None = None
        self._max_payload = max_payload
        self._max_json = max_json

    def receive(self, data: bytes) -> Iterable[bytes]:
        """Return the JSON of every frame that is now complete; raises WireError."""
        self._buffer += data
        documents = []
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if not 0 < length <= self._max_payload:
                raise WireError(f"map frame: a length of {length} bytes is out of bounds")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                break
            payload = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            documents.append(self._unpack(payload))
        return documents

    @property
    def is_between_frames(self) -> bool:
        """Whether the stream could end here without losing anything."""
        return not self._buffer

    def _unpack(self, payload: bytes) -> bytes:
        if not self._is_compressed:
            return payload
        # A server repeats one keepalive for the life of a stream.
        if payload == self._keep_alive:
            return KEEP_ALIVE_JSON
        document = decompress(payload, most=self._max_json)
        if document == KEEP_ALIVE_JSON:
            self._keep_alive = payload
        return document
