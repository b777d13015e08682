"""The driver against a router of our own on loopback: PCP by datagram, UPnP's HTTP by aiohttp."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, cast

import pytest

from node.agent.port_mapping import PortMapping
from node.paths.netcheck.report import Report

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROUTER = IPv4Address(0x7F4D_0000 + os.getpid() % 65_000 + 1)
"""The protocol's port is fixed, so that each process needs an address of its own."""
PORT = 41641
PATIENCE_S = 20.0


class PcpRouter(asyncio.DatagramProtocol):
    """Grants everything, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[bytes] = asyncio.Queue()
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if data[0] != 2 or self.transport is None:
            return
        head = struct.pack(">BBBB4sI", 2, 0x80 | data[1], 0, 0, data[4:8], 77) + bytes(12)
        if data[1]:
            public = bytes(10) + b"\xff\xff" + IPv4Address("11.0.0.1").packed
            head += data[24:42] + struct.pack(">H", 5000) + public
            self.asked.put_nowait(data)
        self.transport.sendto(head, addr)


def plain_socket(kind: socket.SocketKind) -> socket.socket:
    sock = socket.socket(socket.AF_INET, kind)
    sock.setblocking(False)
    return sock


@pytest.fixture
async def router() -> AsyncIterator[PcpRouter]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        PcpRouter, local_addr=(str(ROUTER), 5351)
    )
    yield protocol
    transport.close()


async def test_port_is_mapped_reported_and_given_back(router: PcpRouter) -> None:
    changed = asyncio.Event()
    mapping = PortMapping(PORT, changed.set, plain_socket)
    try:
        await mapping.look(ROUTER)
        async with asyncio.timeout(PATIENCE_S):
            await changed.wait()
            wanted = await router.asked.get()
        assert str(mapping.external) == "11.0.0.1:5000"
        assert wanted[40:42] == PORT.to_bytes(2, "big")
        report = Report(started_at=0)
        mapping.note_in(report)
        assert (report.pcp, report.nat_pmp, report.upnp) == (True, False, False)
        await mapping.look(ROUTER)
        assert router.asked.empty(), "the same gateway is not asked again"
    finally:
        await mapping.close()
    async with asyncio.timeout(PATIENCE_S):
        end = await router.asked.get()
    assert end[4:8] == bytes(4)
    assert mapping.external is None


async def test_gateway_that_goes_away_takes_the_mapping_with_it(router: PcpRouter) -> None:
    del router
    changed = asyncio.Event()
    mapping = PortMapping(PORT, changed.set, plain_socket)
    try:
        await mapping.look(ROUTER)
        async with asyncio.timeout(PATIENCE_S):
            await changed.wait()
        await mapping.look(None)
        assert mapping.external is None
        report = Report(started_at=0)
        mapping.note_in(report)
        assert report.pcp is None, "nobody was asked"
    finally:
        await mapping.close()
