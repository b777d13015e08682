"""Codecs of single values: text, numbers, times, addresses, keys."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, Final, TypeVar

from control.keys import (
    AttestationPublic,
    Curve25519Public,
    DiscoPublic,
    KeyTextError,
    LockPublic,
    MachinePublic,
    NodePublic,
)
from control.wire._codec import Codec, Json, WireError
from control.wire.endpoint import AddrPort, parse_addr_port

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "ADDR_PORT",
    "ATTESTATION_KEY",
    "BASE64",
    "BOOL",
    "DISCO_KEY",
    "FLOAT",
    "INT",
    "LOCK_KEY",
    "MACHINE_KEY",
    "NANOSECONDS",
    "NODE_KEY",
    "OBJECT",
    "PREFIX",
    "RAW",
    "TEXT",
    "TIME",
    "ZERO_TIME",
    "Prefix",
    "format_time",
]

Prefix = IPv4Network | IPv6Network

ZERO_TIME: Final = datetime(1, 1, 1, tzinfo=UTC)
"""Go's zero time: "no time" wherever a time must be written."""

MAX_INT: Final = 2**53 - 1
"""Beyond this a JSON number is not exact everywhere."""

MAX_TEXT: Final = 1 << 20


def _text(value: Json, where: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise WireError(f"{where}: expected text")
    return value


def _int(value: Json, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > MAX_INT:
        raise WireError(f"{where}: expected a whole number")
    return value


def _float(value: Json, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise WireError(f"{where}: expected a number")
    return float(value)


def _bool(value: Json, where: str) -> bool:
    if not isinstance(value, bool):
        raise WireError(f"{where}: expected true or false")
    return value


def _object(value: Json, where: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise WireError(f"{where}: expected an object")
    return value


def _time(value: Json, where: str) -> datetime:
    text = _text(value, where)
    try:
        parsed = datetime.fromisoformat(text)
        if parsed.tzinfo is not None and "T" in text.upper():
            return parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise WireError(f"{where}: expected a time as in RFC 3339")


def format_time(value: datetime) -> str:
    """Return a time as RFC 3339 in UTC, with fractions only where it has them."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


@lru_cache(maxsize=65536)
def _parse_prefix(text: str) -> Prefix:
    if "/" not in text or "%" in text:
        raise ValueError("no length, or a zone")
    return ip_network(text, strict=True)


def _prefix(value: Json, where: str) -> Prefix:
    try:
        return _parse_prefix(_text(value, where))
    except ValueError:
        raise WireError(f"{where}: expected a prefix with its host bits zero") from None


def _addr_port(value: Json, where: str) -> AddrPort:
    try:
        return parse_addr_port(_text(value, where))
    except ValueError:
        raise WireError(f"{where}: expected an address and a port") from None


def _base64(value: Json, where: str) -> bytes:
    try:
        return b64decode(_text(value, where), validate=True)
    except (binascii.Error, ValueError):
        raise WireError(f"{where}: expected base64") from None


_Key = TypeVar("_Key", bound=Curve25519Public | LockPublic | AttestationPublic)


def _key(parse: Callable[[str], _Key]) -> Codec[_Key]:
    def decode(value: Json, where: str) -> _Key:
        try:
            return parse(_text(value, where))
        except KeyTextError as error:
            raise WireError(f"{where}: {error}") from None

    return Codec(encode=lambda key: key.to_text(), decode=decode)


def _identity(value: Json) -> Json:
    return value


def _raw(value: Json, _where: str) -> Json:
    return value


TEXT: Final[Codec[str]] = Codec(_identity, _text)
INT: Final[Codec[int]] = Codec(_identity, _int)
FLOAT: Final[Codec[float]] = Codec(_identity, _float)
BOOL: Final[Codec[bool]] = Codec(_identity, _bool)
OBJECT: Final[Codec[dict[str, Json]]] = Codec(_identity, _object)
RAW: Final[Codec[Json]] = Codec(_identity, _raw)
TIME: Final[Codec[datetime]] = Codec(format_time, _time)
PREFIX: Final[Codec[Prefix]] = Codec(str, _prefix)
ADDR_PORT: Final[Codec[AddrPort]] = Codec(str, _addr_port)
BASE64: Final[Codec[bytes]] = Codec(lambda data: b64encode(data).decode("ascii"), _base64)
MACHINE_KEY: Final = _key(MachinePublic.from_text)
NODE_KEY: Final = _key(NodePublic.from_text)
DISCO_KEY: Final = _key(DiscoPublic.from_text)
LOCK_KEY: Final = _key(LockPublic.from_text)
ATTESTATION_KEY: Final = _key(AttestationPublic.from_text)
NANOSECONDS: Final[Codec[timedelta]] = Codec(
    lambda value: value // timedelta(microseconds=1) * 1000,
    lambda value, where: timedelta(microseconds=_int(value, where) // 1000),
)
