"""Whom the gate counts together."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from control.keys import NodePrivate
from relay.admission import AcceptGate, AdmitEveryone
from relay.counters import Counters
from relay.ratelimit import RateLimit
from relay.server.gate import GatedListener
from relay.server.hub import Hub
from relay.welcome import ServerIdentity


class Arrived(asyncio.Transport):
    """A connection from an address, as far as the gate looks at it."""

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 40_000)})
        self.is_aborted = False

    def abort(self) -> None:
        self.is_aborted = True

    def set_protocol(self, protocol: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("addresses", "turned_away"),
    [
        # One host has a whole network of 64 bits to choose from, but one IPv4 address.
        (["2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:2:a:b:c:d"], [False, False, True]),
        (["2001:db8:1:2::1", "2001:db8:1:2::2", "2001:db8:1:3::1"], [False, False, False]),
        (["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"], [False, False, True]),
        (["192.0.2.1", "192.0.2.2", "192.0.2.3"], [False, False, False]),
    ],
)
async def test_one_source_holds_so_many_connections(
    addresses: list[str], turned_away: list[bool]
) -> None:
    identity = ServerIdentity(NodePrivate.generate(os.urandom), os.urandom)
    hub = Hub(identity, Counters(), AdmitEveryone())
    gate = AcceptGate(RateLimit(0, 0), max_pending_per_source=2, now=hub.now())
    listener = GatedListener(hub, gate, asyncio.Protocol, None)
    arrived = [Arrived(address) for address in addresses]
    protocols = [listener() for _ in arrived]
    for protocol, transport in zip(protocols, arrived, strict=True):
        protocol.connection_made(transport)
    assert [transport.is_aborted for transport in arrived] == turned_away
    assert hub.counters.accepts_refused == sum(turned_away)
