"""The HTTP/1.1 upgrade that carries a handshake (control reference 2.2), as a machine."""

from __future__ import annotations

from typing import Final

from control.noise import encode_handshake_header

__all__ = ["UpgradeError", "UpgradeResponse", "upgrade_request"]

_PROTOCOL: Final = "tailscale-control-protocol"
_END: Final = b"\r\n\r\n"
MAX_HEAD_BYTES: Final = 8192
_MAX_SHOWN: Final = 200


class UpgradeError(Exception):
    """The server did not switch protocols; the text says what it answered instead."""


def upgrade_request(host: str, initiation: bytes) -> bytes:
    """Return the request; `host` is what the server's URL names, with its port if it has one."""
    if any(character in host for character in "\r\n "):
        raise ValueError("upgrade: not a host")
    return (
        f"POST /ts2021 HTTP/1.1\r\n"
        f"Host: {host}\r\n"
        f"User-Agent: postern\r\n"
        f"Content-Length: 0\r\n"
        f"Connection: upgrade\r\n"
        f"Upgrade: {_PROTOCOL}\r\n"
        f"X-Tailscale-Handshake: {encode_handshake_header(initiation)}\r\n\r\n"
    ).encode("ascii")


class UpgradeResponse:
    """Collects the head of the response; what follows it belongs to the channel."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def receive(self, data: bytes) -> bytes | None:
        """Return the bytes after the head once that is complete, None before.

        Raises UpgradeError for any answer but 101 with the right protocol.
        """
        self._buffer += data
        head, end, rest = self._buffer.partition(_END)
        if len(head) > MAX_HEAD_BYTES:
            raise UpgradeError("the response's head is too long")
        if not end:
            return None
        status_line, *lines = head.decode("latin-1").split("\r\n")
        _, _, status = status_line.partition(" ")
        if not status_line.startswith("HTTP/1.") or not status.startswith("101"):
            text = rest.decode(errors="replace").strip()[:_MAX_SHOWN]
            raise UpgradeError(f"the server answered {status[:_MAX_SHOWN]!r} {text!r}")
        fields = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        if fields.get("upgrade") != _PROTOCOL:
            raise UpgradeError("the server switched to another protocol")
        return rest
