"""What a conversation with a router about one port looks like, whatever the protocol.

A dialogue turns wishes into datagrams and HTTP requests, and answers into what they mean. When to
wish, and what to do about silence, is `mapper`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from node.transport.endpoint import Endpoint

__all__ = [
    "Answer",
    "Command",
    "Denied",
    "Dialogue",
    "Fetch",
    "Granted",
    "Present",
    "Send",
    "Service",
    "Turn",
]


class Service(Enum):
    """The protocols by which routers map ports, by the names that people know."""

    PCP = "PCP"
    NAT_PMP = "NAT-PMP"
    UPNP = "UPnP"


@dataclass(frozen=True, slots=True)
class Send:
    """Send this datagram."""

    datagram: bytes
    to: Endpoint


@dataclass(frozen=True, slots=True)
class Fetch:
    """Make one HTTP request, a GET when it has no body; answer with `fetched` and the number."""

    number: int
    url: str
    headers: Mapping[str, str]
    body: bytes | None


Command = Send | Fetch


@dataclass(frozen=True, slots=True)
class Present:
    """The router speaks this protocol."""

    epoch_s: int | None = None
    """How long the router has kept its mappings, by its own word; None where it never says."""


@dataclass(frozen=True, slots=True)
class Granted:
    """The router forwards datagrams that come to an address of its own."""

    external: Endpoint
    lifetime_s: int
    """0 for a mapping that never ends by itself."""
    epoch_s: int | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """The router will not map a port by this protocol."""

    reason: str


Answer = Present | Granted | Denied
Turn = tuple[list[Command], Answer | None]
"""What to send next in the same conversation, and what was learnt."""


class Dialogue(Protocol):
    """One protocol with one router about one port of ours."""

    @property
    def service(self) -> Service:
        """Which protocol this is."""

    def probe(self) -> list[Command]:
        """Return the question whether the router speaks the protocol."""

    def ask(self, suggested: Endpoint | None) -> list[Command]:
        """Return the wish for a mapping, or for the same one again."""

    def give_back(self, external: Endpoint) -> list[Command]:
        """Return the wish to end a mapping."""

    def receive(self, datagram: bytes) -> Turn:
        """Take a datagram of the router. Raises PortMapError for what is not ours to read."""

    def fetched(self, number: int, status: int, body: bytes) -> Turn:
        """Take the answer to a `Fetch`; a status of 0 says that there was none."""
