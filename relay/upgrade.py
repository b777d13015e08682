"""The HTTP/1.1 exchange in front of a DERP stream, as text in and text out.

A DERP connection starts as `GET /derp` with `Upgrade: DERP`. The server answers 101, or with
fast start nothing at all, and in both cases bytes may follow the head in the same segment: every
parser here says how long the head was, so that nothing behind it is lost (relay reference 1.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from relay.errors import Fault, RemoteFaultError

__all__ = [
    "DERP_PATH",
    "MAX_HEAD_BYTES",
    "META_CERT_PREFIX",
    "RequestHead",
    "ResponseHead",
    "Route",
    "encode_request",
    "encode_switching",
    "encode_upgrade_required",
    "parse_request_head",
    "parse_response_head",
    "route",
]

DERP_PATH = "/derp"
MAX_HEAD_BYTES = 16_384
META_CERT_PREFIX = "derpkey"
"""Common name prefix of the certificate that carries the server's key (relay reference 1.4)."""

_END = b"\r\n\r\n"


class Route(Enum):
    """Who serves a request."""

    DERP = "derp"
    UPGRADE_REQUIRED = "426"
    HTTP = "http"
    """Everything that an ordinary HTTP server answers, WebSocket upgrades included."""


@dataclass(frozen=True, slots=True)
class RequestHead:
    """Request line and headers; names in lower case, repeated ones joined with commas."""

    method: str
    target: str
    headers: dict[str, str]
    length_bytes: int

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def has_fast_start(self) -> bool:
        """Whether the client knows our key already and wants no HTTP answer."""
        return self.headers.get("derp-fast-start") == "1"

    @property
    def is_ideal(self) -> bool:
        """Whether the client is on the node it would choose first."""
        return not self.headers.get("ideal-node")


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """Status and headers of a server's answer."""

    status: int
    headers: dict[str, str]
    length_bytes: int


def parse_request_head(data: bytes | bytearray) -> RequestHead | None:
    """Return the head at the start of `data`, None while it is incomplete.

    Raises RemoteFaultError(BAD_HTTP).
    """
    lines, length = _lines(data)
    if not length:
        return None
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise RemoteFaultError(Fault.BAD_HTTP, "request line is not HTTP/1.x")
    return RequestHead(parts[0], parts[1], _headers(lines[1:]), length)


def parse_response_head(data: bytes | bytearray) -> ResponseHead | None:
    """Return the head at the start of `data`, None while it is incomplete.

    Raises RemoteFaultError(BAD_HTTP).
    """
    lines, length = _lines(data)
    if not length:
        return None
    parts = lines[0].split(" ", 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdecimal():
        raise RemoteFaultError(Fault.BAD_HTTP, "status line is not HTTP/1.x")
    if len(parts[1]) != 3:
        raise RemoteFaultError(Fault.BAD_HTTP, "status code without three digits")
    return ResponseHead(int(parts[1]), _headers(lines[1:]), length)


def route(head: RequestHead) -> Route:
    """Decide who serves a request (relay reference 1.3)."""
    if head.path != DERP_PATH:
        return Route.HTTP
    upgrade = head.headers.get("upgrade", "").lower()
    if upgrade == "websocket" and _has_token(head.headers, "sec-websocket-protocol", "derp"):
        return Route.HTTP
    # Old clients say WebSocket without the subprotocol and mean plain DERP.
    if upgrade in {"derp", "websocket"}:
        return Route.DERP
    return Route.UPGRADE_REQUIRED


def encode_switching(public_key: bytes) -> bytes:
    """Return the 101 answer, byte for byte what clients of the field get."""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\nConnection: Upgrade\r\n"
        f"Derp-Version: 2\r\nDerp-Public-Key: {public_key.hex()}\r\n\r\n"
    ).encode()


def encode_upgrade_required() -> bytes:
    """Return the 426 answer for a plain request to the DERP path."""
    text = "DERP requires connection upgrade\n"
    return (
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: DERP\r\nConnection: Upgrade, close\r\n"
        f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(text)}\r\n\r\n{text}"
    ).encode()


def encode_request(host: str, *, fast_start: bool = False, ideal_node: str = "") -> bytes:
    """Return the client's upgrade request."""
    lines = [f"GET {DERP_PATH} HTTP/1.1", f"Host: {host}", "User-Agent: postern"]
    if ideal_node:
        lines.append(f"Ideal-Node: {ideal_node}")
    lines.append("Connection: Upgrade")
    if fast_start:
        lines.append("Derp-Fast-Start: 1")
    lines.append("Upgrade: DERP")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _lines(data: bytes | bytearray) -> tuple[list[str], int]:
    end = data.find(_END, 0, MAX_HEAD_BYTES)
    if end < 0:
        if len(data) >= MAX_HEAD_BYTES:
            raise RemoteFaultError(Fault.BAD_HTTP, f"head longer than {MAX_HEAD_BYTES} bytes")
        return [], 0
    return data[:end].decode("latin-1").split("\r\n"), end + len(_END)


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise RemoteFaultError(Fault.BAD_HTTP, "header line without a name")
        key = name.lower()
        text = value.strip()
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _has_token(headers: dict[str, str], name: str, token: str) -> bool:
    return token in (part.strip().lower() for part in headers.get(name, "").split(","))
