"""The two sealed greetings of a DERP connection, and the keys that seal them.

ClientInfo and ServerInfo are small JSON objects inside a NaCl box: a random 24-byte nonce in
front, then tag and ciphertext (relay reference 0 and 1.6). JSON keys are matched without regard
to case, as the field's own implementation does.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from nacl.bindings import (
    crypto_box_afternm,
    crypto_box_beforenm,
    crypto_box_open_afternm,
    crypto_scalarmult_base,
)
from nacl.exceptions import CryptoError

from relay.errors import Fault, RelayError, RemoteFaultError
from relay.frames import KEY_BYTES, NONCE_BYTES, PROTOCOL_VERSION

__all__ = [
    "ClientInfo",
    "Entropy",
    "KeyPair",
    "MalformedKeyError",
    "MeshKey",
    "ServerInfo",
    "open_client_info",
    "open_server_info",
    "seal_client_info",
    "seal_server_info",
]

_T = TypeVar("_T")

Entropy = Callable[[int], bytes]
"""Returns that many unpredictable bytes; injected so that machines can be replayed."""


class MalformedKeyError(RelayError):
    """Text or bytes that are no key of the kind asked for."""


class KeyPair:
    """An X25519 key pair: a node's, or a server's, identity on the relay.

    Shared secrets are computed once for each other side and kept by the caller.
    """

    __slots__ = ("_private", "public")

    def __init__(self, private: bytes) -> None:
        if len(private) != KEY_BYTES:
            raise MalformedKeyError(f"a private key has {KEY_BYTES} bytes, not {len(private)}")
        self._private = private
        self.public: bytes = crypto_scalarmult_base(private)

    @classmethod
    def generate(cls, entropy: Entropy) -> KeyPair:
        """Make a fresh pair, clamped as RFC 7748 asks."""
        raw = bytearray(entropy(KEY_BYTES))
        raw[0] &= 248
        raw[31] = (raw[31] & 127) | 64
        return cls(bytes(raw))

    def private_hex(self) -> str:
        """Return the secret as 64 hex digits, for the key file alone."""
        return self._private.hex()

    def shared_with(self, public: bytes) -> bytes:
        """Return the box key shared with another public key.

        Raises RemoteFaultError for a key of low order, which would share a known secret.
        """
        try:
            shared: bytes = crypto_box_beforenm(public, self._private)
        except (CryptoError, ValueError, TypeError, RuntimeError) as error:
            raise RemoteFaultError(Fault.BAD_BOX, "public key of low order") from error
        return shared

    def __repr__(self) -> str:
        return f"KeyPair(public={self.public.hex()[:8]}…)"


class MeshKey:
    """The secret that the servers of one region share; compared in constant time."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES or not any(secret):
            raise MalformedKeyError("a mesh key is 32 bytes, not all zero")
        self._secret = secret

    @classmethod
    def parse(cls, text: str) -> MeshKey:
        """Read 64 hex digits, white space around them ignored. Raises MalformedKeyError."""
        try:
            return cls(bytes.fromhex(text.strip()))
        except ValueError as error:
            raise MalformedKeyError("a mesh key is written as 64 hex digits") from error

    def hex(self) -> str:
        """Return the secret as it goes into a sealed ClientInfo."""
        return self._secret.hex()

    def matches(self, text: str) -> bool:
        """Whether a peer presented this very key."""
        return hmac.compare_digest(self._secret.hex().encode(), text.encode())

    def __repr__(self) -> str:
        return "MeshKey(…)"


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


def seal_client_info(info: ClientInfo, shared: bytes, nonce: bytes) -> bytes:
    """Return nonce and box of a ClientInfo; `nonce` is 24 bytes never used before."""
    return _seal(info.to_json(), shared, nonce)


def seal_server_info(info: ServerInfo, shared: bytes, nonce: bytes) -> bytes:
    """Return nonce and box of a ServerInfo; `nonce` is 24 bytes never used before."""
    return _seal(info.to_json(), shared, nonce)


def open_client_info(sealed: bytes, shared: bytes) -> ClientInfo:
    """Open and read a client's greeting. Raises RemoteFaultError."""
    return ClientInfo.from_json(_open(sealed, shared))


def open_server_info(sealed: bytes, shared: bytes) -> ServerInfo:
    """Open and read a server's greeting. Raises RemoteFaultError."""
    return ServerInfo.from_json(_open(sealed, shared))


def _seal(plaintext: bytes, shared: bytes, nonce: bytes) -> bytes:
    box: bytes = crypto_box_afternm(plaintext, nonce, shared)
    return nonce + box


def _open(sealed: bytes, shared: bytes) -> bytes:
    try:
        plaintext: bytes = crypto_box_open_afternm(
            sealed[NONCE_BYTES:], sealed[:NONCE_BYTES], shared
        )
    except (CryptoError, ValueError) as error:
        raise RemoteFaultError(Fault.BAD_BOX, "greeting does not open with our key") from error
    return plaintext


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
