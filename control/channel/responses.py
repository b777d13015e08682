"""What handlers of the channel answer with: a whole body, or a stream that goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from control.keys import MachinePublic

__all__ = ["ChannelRequest", "ChannelResponse", "ResponseStream"]


@dataclass(frozen=True, slots=True)
class ChannelRequest:
    """A request on the channel, with who asks."""

    machine: MachinePublic
    version: int
    """Capability version of the handshake."""
    remote: str
    """Address of the client, for logs and rate limits."""
    method: str
    path: str
    """Without its query."""
    query: dict[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ChannelResponse:
    """A response that is complete at once."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def text(cls, status: int, text: str) -> ChannelResponse:
        """Return a short text for people; nodes show its first 200 bytes."""
        return cls(status, text.encode()[:200], "text/plain; charset=utf-8")


class ResponseStream(Protocol):
    """A response whose body comes in pieces."""

    def start(self, status: int) -> None:
        """Send the head at once."""

    def watch(self) -> None:
        """Notice within seconds, not minutes, when the peer is gone without a word."""

    async def send(self, data: bytes) -> None:
        """Send a piece; returns when the peer has taken enough of what went before."""
