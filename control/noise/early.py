"""The early payload: what a server may say before the first HTTP/2 byte.

    0  5    ff ff ff 54 53
    5  u32  n, big-endian, at most 10 MiB
    9  n    JSON {"nodeKeyChallenge": "chalpub:..."}

Nine bytes tell it from an HTTP/2 frame head, since a server's first frame is SETTINGS.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Final

from control.keys import ChallengePublic, KeyTextError
from control.noise.errors import NoiseError

__all__ = ["EarlyPayload", "EarlyPayloadDecoder", "EarlyPayloadError", "encode_early_payload"]

_MAGIC: Final = b"\xff\xff\xffTS"
_LENGTH: Final = struct.Struct(">I")
_HEAD_BYTES: Final = len(_MAGIC) + _LENGTH.size
MAX_JSON_BYTES: Final = 10 * 1024 * 1024


class EarlyPayloadError(NoiseError):
    """An early payload that is too long or not the JSON it must be."""


@dataclass(frozen=True, slots=True)
class EarlyPayload:
    """What the server said early; unknown fields are ignored."""

    node_key_challenge: ChallengePublic | None = None
    """Key that a node may later be asked to prove its node key against."""


def encode_early_payload(payload: EarlyPayload) -> bytes:
    """Return the plaintext that goes first from the server."""
    fields = {}
    if payload.node_key_challenge is not None:
        fields["nodeKeyChallenge"] = payload.node_key_challenge.to_text()
    body = json.dumps(fields, separators=(",", ":")).encode()
    return _MAGIC + _LENGTH.pack(len(body)) + body


class EarlyPayloadDecoder:
    """Takes the early payload off the front of the server's byte stream, if it is there."""

    __slots__ = ("_buffer", "_is_done", "payload")

    def __init__(self) -> None:
        self._buffer = b""
        self._is_done = False
        self.payload: EarlyPayload | None = None
        """What the server said, None until known or where it said nothing."""

    def receive(self, data: bytes) -> bytes:
        """Take plaintext in any chunks; return the part that belongs to HTTP/2.

        Raises EarlyPayloadError.
        """
        if self._is_done:
            return data
        self._buffer += data
        if not self._buffer.startswith(_MAGIC[: len(self._buffer)]):
            return self._finish(0)
        if len(self._buffer) < _HEAD_BYTES:
            return b""
        (length,) = _LENGTH.unpack_from(self._buffer, len(_MAGIC))
        if length > MAX_JSON_BYTES:
            raise EarlyPayloadError(f"early payload: {length} bytes are too many")
        end = _HEAD_BYTES + length
        if len(self._buffer) < end:
            return b""
        self.payload = _decode_json(self._buffer[_HEAD_BYTES:end])
        return self._finish(end)

    def _finish(self, end: int) -> bytes:
        rest, self._buffer, self._is_done = self._buffer[end:], b"", True
        return rest


def _decode_json(body: bytes) -> EarlyPayload:
    try:
        fields = json.loads(body)
        challenge = fields.get("nodeKeyChallenge")
        if challenge is None:
            return EarlyPayload()
        return EarlyPayload(ChallengePublic.from_text(challenge))
    except (ValueError, AttributeError, KeyTextError, RecursionError) as error:
        raise EarlyPayloadError(f"early payload: {type(error).__name__}") from None
