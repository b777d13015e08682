"""The two sealed greetings of a DERP connection, and how they are sealed.

ClientInfo and ServerInfo are small JSON objects inside a NaCl box: a random 24-byte nonce in
front, then tag and ciphertext (relay reference 0 and 1.6). JSON keys are matched without regard
to case, as the field's own implementation does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypeVar

from control.keys import Box, BoxOpenError, Entropy, NodePrivate, NodePublic
from relay.errors import Fault, RemoteFaultError
from relay.frames import KEY_BYTES, PROTOCOL_VERSION

__all__ = [
    "ClientInfo",
    "ServerInfo",
    "greeting_box",
    "open_client_info",
    "open_server_info",
    "seal_greeting",
]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """What a client says of itself once, sealed."""

    version: int = PROTOCOL_VERSION
    can_ack_pings: bool = True
    mesh_key: str = ""
    """64 hex digits, or empty for an ordinary client."""
    is_prober: bool = False
    app_name: str = ""

    def __repr__(self) -> str:
        mesh = "present" if self.mesh_key else "absent"
        return f"ClientInfo(version={self.version}, mesh_key={mesh}, app_name={self.app_name!r})"

    def to_json(self) -> bytes:
        """Return the compact JSON that goes into the box, absent fields left out."""
        fields: dict[str, Any] = {}
        if self.mesh_key:
            fields["meshKey"] = self.mesh_key
        if self.version:
            fields["version"] = self.version
        fields["CanAckPings"] = self.can_ack_pings
        if self.is_prober:
            fields["IsProber"] = True
        if self.app_name:
            fields["AppName"] = self.app_name
        return _compact(fields)

    @classmethod
    def from_json(cls, text: bytes) -> ClientInfo:
        """Read the opened box. Raises RemoteFaultError(BAD_JSON or BAD_MESH_KEY)."""
        fields = _object(text)
        mesh_key = _text(fields, "meshkey")
        # An empty string is not the same as no field: the field's own server refuses it.
        if "meshkey" in fields and not _is_key_text(mesh_key):
            raise RemoteFaultError(Fault.BAD_MESH_KEY, "meshKey is not 64 hex digits")
        return cls(
            version=_integer(fields, "version"),
            can_ack_pings=_flag(fields, "canackpings"),
            mesh_key=mesh_key,
            is_prober=_flag(fields, "isprober"),
            app_name=_text(fields, "appname"),
        )


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a server tells a client it has accepted, sealed."""

    version: int = PROTOCOL_VERSION
    bytes_per_second: int = 0
    """Advisory send rate for the client; 0 means no limit."""
    burst_bytes: int = 0

    def to_json(self) -> bytes:
        """Return the compact JSON that goes into the box, absent fields left out."""
        fields: dict[str, Any] = {"version": self.version}
        if self.bytes_per_second:
            fields["TokenBucketBytesPerSecond"] = self.bytes_per_second
            fields["TokenBucketBytesBurst"] = self.burst_bytes
        return _compact(fields)

    @classmethod
    def from_json(cls, text: bytes) -> ServerInfo:
        """Read the opened box. Raises RemoteFaultError(BAD_JSON)."""
        fields = _object(text)
        return cls(
            version=_integer(fields, "version"),
            bytes_per_second=_integer(fields, "tokenbucketbytespersecond"),
            burst_bytes=_integer(fields, "tokenbucketbytesburst"),
        )


def greeting_box(private: NodePrivate, public: bytes) -> Box:
    """Return the box between our key and the other end's, for both greetings.

    Raises RemoteFaultError for a key of low order, which would share a known secret.
    """
    try:
        return private.box_with(NodePublic(public))
    except BoxOpenError as error:
        raise RemoteFaultError(Fault.BAD_BOX, "public key of low order") from error


def seal_greeting(greeting: ClientInfo | ServerInfo, box: Box, entropy: Entropy) -> bytes:
    """Return nonce and box of a greeting."""
    return box.seal(greeting.to_json(), entropy)


def open_client_info(sealed: bytes, box: Box) -> ClientInfo:
    """Open and read a client's greeting. Raises RemoteFaultError."""
    return ClientInfo.from_json(_open(sealed, box))


def open_server_info(sealed: bytes, box: Box) -> ServerInfo:
    """Open and read a server's greeting. Raises RemoteFaultError."""
    return ServerInfo.from_json(_open(sealed, box))


def _open(sealed: bytes, box: Box) -> bytes:
    try:
        return box.open(sealed)
    except BoxOpenError as error:
        raise RemoteFaultError(Fault.BAD_BOX, "greeting does not open with our key") from error


def _compact(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RemoteFaultError(Fault.BAD_JSON, "greeting is not JSON") from error
    if not isinstance(value, dict):
        raise RemoteFaultError(Fault.BAD_JSON, "greeting is not a JSON object")
    return {name.lower(): item for name, item in value.items() if item is not None}


def _text(fields: dict[str, Any], name: str) -> str:
    return _typed(fields.get(name, ""), str, name)


def _flag(fields: dict[str, Any], name: str) -> bool:
    return _typed(fields.get(name, False), bool, name)


def _integer(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name, 0)
    # JSON has no integers of its own, and True counts as one to Python.
    if isinstance(value, bool):
        raise RemoteFaultError(Fault.BAD_JSON, f"{name} is not a number")
    return _typed(value, int, name)


def _typed(value: object, kind: type[_T], name: str) -> _T:
    if not isinstance(value, kind):
        raise RemoteFaultError(Fault.BAD_JSON, f"{name} is not a {kind.__name__}")
    return value


def _is_key_text(text: str) -> bool:
    return len(text) == 2 * KEY_BYTES and all(c in "0123456789abcdefABCDEF" for c in text)
