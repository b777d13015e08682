"""A relay on loopback and clients of it, for tests that want real sockets."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from control.keys import NodePrivate
from relay.admission import Admission, AdmitEveryone
from relay.app import Relay, RelayConfig
from relay.dial import RelayAddress, RelayClient, dial
from relay.frames import RecvPacket
from relay.server.tls import client_context, self_signed, server_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    from relay.session_client import ClientEvent, ClientOptions

HOST = "127.0.0.1"
PATIENCE_S = 10.0


@dataclass
class Inbox:
    """Events of one client, in order, to be awaited."""

    client: RelayClient | None = None
    private: NodePrivate = field(default_factory=lambda: NodePrivate.generate(os.urandom))
    events: asyncio.Queue[ClientEvent] = field(default_factory=asyncio.Queue)

    @property
    def key(self) -> bytes:
        """The client's node key."""
        return self.private.public.raw

    @property
    def live(self) -> RelayClient:
        """The connection, which must be up."""
        assert self.client is not None
        return self.client

    async def wait_for(self, kind: type[Any]) -> Any:
        """Return the next event of a kind, passing over others."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                event = await self.events.get()
                if isinstance(event, kind):
                    return event

    async def packet(self) -> RecvPacket:
        """Return the next packet."""
        packet: RecvPacket = await self.wait_for(RecvPacket)
        return packet


@dataclass
class LiveRelay:
    """A running relay and how to reach it."""

    relay: Relay
    tls: ssl.SSLContext | None = None
    pin: str = ""
    clients: list[Inbox] = field(default_factory=list)

    @property
    def address(self) -> RelayAddress:
        """Where clients dial."""
        return RelayAddress(HOST, self.relay.ports[0], certificate_pin=self.pin, tls=self.tls)

    async def join(
        self, private: NodePrivate | None = None, options: ClientOptions | None = None
    ) -> Inbox:
        """Connect a client and wait until it is welcome."""
        inbox = Inbox() if private is None else Inbox(private=private)
        inbox.client = await dial(self.address, inbox.private, inbox.events.put_nowait, options)
        self.clients.append(inbox)
        return inbox


def config(**changes: Any) -> RelayConfig:
    """Return a configuration on free loopback ports, without TLS unless asked."""
    defaults: dict[str, Any] = {
        "private": NodePrivate.generate(os.urandom),
        "listen": (HOST, 0),
        "stun": ((HOST, 0),),
    }
    return RelayConfig(**{**defaults, **changes})


@asynccontextmanager
async def running(
    settings: RelayConfig | None = None,
    admission: Admission | None = None,
    *,
    with_tls: bool = False,
) -> AsyncIterator[LiveRelay]:
    """Run a relay; clients that joined through it are closed with it."""
    settings = settings or config()
    pin = ""
    tls = None
    if with_tls:
        certificate, key, digest = self_signed(HOST, datetime.now(UTC))
        context = server_context(certificate, key, settings.private.public.raw)
        settings = config(private=settings.private, tls=context)
        pin, tls = f"sha256-raw:{digest}", client_context(verify=False)
    async with Relay(settings, admission or AdmitEveryone()) as relay:
        live = LiveRelay(relay, tls, pin)
        try:
            yield live
        finally:
            for inbox in live.clients:
                inbox.live.close()
