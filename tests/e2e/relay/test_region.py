"""Two relay processes that form one region: TLS with pins, a shared key, clients on each."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from control.keys import MeshKey, NodePrivate
from relay import frames
from relay.dial import DialError, RelayAddress, dial
from relay.frames import PeerGone, PeerGoneReason, PeerPresent, RecvPacket, Restarting
from relay.server.tls import client_context, kept_self_signed
from relay.session_client import ClientOptions, Disconnected
from tests.support.live_relay import Inbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

HOST = "127.0.0.1"
START_S = 30.0
DISCO = frames.DISCO_MAGIC + bytes(60)
SERVE = "import sys; from relay.cli import main; sys.exit(main())"


@dataclass
class Server:
    """One relay process and what is needed to start it again."""

    directory: Path
    port: int
    mesh_key: MeshKey
    flags: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    @property
    def key(self) -> bytes:
        text = json.loads((self.directory / "key.json").read_text())["PrivateKey"]
        return NodePrivate.from_secret_text(text).public.raw

    @property
    def pin(self) -> str:
        return kept_self_signed(self.directory / "key.pem", HOST, datetime.now(UTC)).pin

    @property
    def address(self) -> RelayAddress:
        tls = client_context(verify=False)
        return RelayAddress(HOST, self.port, certificate_pin=self.pin, tls=tls)

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()

    def start(self) -> None:
        command = [sys.executable, "-c", SERVE, "serve", "--listen", f"{HOST}:{self.port}"]
        command += ["--self-signed", "--hostname", HOST, "--http-port", "-1", "--stun-port", "-1"]
        command += ["--key-file", str(self.directory / "key.json"), *self.flags]
        with (self.directory / "log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    async def is_serving(self) -> None:
        await until(lambda: "serving on" in self.log, f"the relay: {self.log}")

    def stop(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(START_S)

    async def join(
        self, private: NodePrivate | None = None, options: ClientOptions | None = None
    ) -> Inbox:
        inbox = Inbox(private=private or NodePrivate.generate(os.urandom))
        inbox.client = await dial(self.address, inbox.private, inbox.events.put_nowait, options)
        return inbox


@dataclass
class Region:
    """Both servers, and who may use them."""

    one: Server
    two: Server
    mesh_key: MeshKey
    members: list[NodePrivate]

    async def is_joined(self) -> None:
        """Wait until packets cross in both directions, as they do once both links are up."""
        a, b = await self.one.join(self.members[-1]), await self.two.join(self.members[-2])
        for sender, receiver in ((a, b), (b, a)):
            await until_arrives(sender, receiver)
        a.live.close()
        b.live.close()


async def until(condition: object, what: str) -> None:
    assert callable(condition)
    async with asyncio.timeout(START_S):
        while not condition():  # noqa: ASYNC110  the state belongs to another process
            await asyncio.sleep(0.02)
    assert condition(), what


async def until_arrives(sender: Inbox, receiver: Inbox) -> None:
    """Send again and again until something arrives; packets have no delivery promise."""
    async with asyncio.timeout(START_S):
        while True:
            sender.live.send_packet(receiver.key, b"are you there?")
            try:
                async with asyncio.timeout(0.1):
                    await receiver.wait_for(RecvPacket)
            except TimeoutError:
                continue
            return


def free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
async def region(tmp_path: Path) -> AsyncIterator[Region]:
    mesh_key = MeshKey.generate(os.urandom)
    members = [NodePrivate.generate(os.urandom) for _ in range(5)]
    (tmp_path / "psk").write_text(mesh_key.to_secret_text() + "\n")
    # Only clients are on the list: the servers let each other in for the key they share.
    (tmp_path / "members").write_text("\n".join(m.public.to_text() for m in members))
    one, two = (Server(tmp_path / name, free_port(), mesh_key) for name in ("one", "two"))
    servers = (one, two)
    for server in servers:
        server.directory.mkdir()
    for server, other in ((one, two), (two, one)):
        server.flags = ["--mesh-psk-file", str(tmp_path / "psk"), "--drain", "0.2"]
        server.flags += ["--admit-keys", str(tmp_path / "members")]
        server.flags += ["--mesh-with", f"{HOST}:{other.port}={other.pin}"]
    try:
        for server in servers:
            server.start()
        for server in servers:
            await server.is_serving()
        found = Region(one, two, mesh_key, members)
        await found.is_joined()
        yield found
    finally:
        for server in servers:
            if server.process is not None and server.process.poll() is None:
                server.stop(signal.SIGKILL)


async def test_region_delivers_across_servers_and_says_who_left(region: Region) -> None:
    a, b = await region.one.join(region.members[0]), await region.two.join(region.members[1])
    await until_arrives(a, b)
    await until_arrives(b, a)
    for number in range(30):
        a.live.send_packet(b.key, number.to_bytes(2, "big"))
    expected = [number.to_bytes(2, "big") for number in range(30)]
    seen: list[bytes] = []
    while len(seen) < 30:
        packet = await b.packet()
        assert packet.source == a.key
        if len(packet.packet) == 2:
            seen.append(packet.packet)
    assert seen == expected
    a.live.close()
    assert await b.wait_for(PeerGone) == PeerGone(a.key, PeerGoneReason.DISCONNECTED)
    # Path discovery for somebody who is nowhere in the region is answered by the own server.
    await until_not_here(b, a.key)
    b.live.close()


async def until_not_here(inbox: Inbox, key: bytes) -> None:
    inbox.live.send_packet(key, DISCO)
    assert await inbox.wait_for(PeerGone) == PeerGone(key, PeerGoneReason.NOT_HERE)


async def test_client_that_moves_to_the_other_server_is_followed(region: Region) -> None:
    a, b = await region.one.join(region.members[0]), await region.two.join(region.members[1])
    await until_arrives(a, b)
    again = await region.two.join(a.private)
    a.live.close()
    await until_arrives(b, again)
    gone = [event for event in b.events._queue if isinstance(event, PeerGone)]  # type: ignore[attr-defined]
    assert gone == []
    again.live.close()
    b.live.close()


async def test_nobody_without_the_key_is_a_server(region: Region) -> None:
    a, b = await region.one.join(region.members[0]), await region.two.join(region.members[1])
    for frame in (
        frames.ForwardPacket(a.key, b.key, b"forged"),
        frames.WatchConns(),
        frames.ClosePeer(b.key),
    ):
        forger = await region.two.join(region.members[2])
        forger.live.session.outbox.push_signal(frames.encode(frame))
        await forger.wait_for(Disconnected)
    wrong = ClientOptions(mesh_key=MeshKey.generate(os.urandom))
    with pytest.raises(DialError):
        await region.one.join(region.members[2], wrong)
    with pytest.raises(DialError):
        await region.one.join(NodePrivate.generate(os.urandom))
    await until_arrives(a, b)
    assert all(
        event.packet == b"are you there?"
        for event in b.events._queue  # type: ignore[attr-defined]
        if isinstance(event, RecvPacket)
    )
    a.live.close()
    b.live.close()


async def test_watcher_hears_of_both_and_may_close_a_client(region: Region) -> None:
    a = await region.one.join(region.members[0])
    watcher = await region.one.join(options=ClientOptions(mesh_key=region.mesh_key))
    watcher.live.session.watch()
    present: set[bytes] = set()
    async with asyncio.timeout(START_S):
        while not {a.key, region.two.key} <= present:
            present.add((await watcher.wait_for(PeerPresent)).peer)
    watcher.live.session.close_peer(a.key)
    await a.wait_for(Disconnected)
    assert (await watcher.wait_for(PeerGone)).peer == a.key
    watcher.live.close()


async def test_restart_moves_clients_and_the_region_heals(region: Region) -> None:
    a, b = await region.one.join(region.members[0]), await region.two.join(region.members[1])
    await until_arrives(a, b)
    pin = region.one.pin
    region.one.stop(signal.SIGTERM)
    notice = await a.wait_for(Restarting)
    assert notice.reconnect_in_ms <= 200
    await a.wait_for(Disconnected)
    assert await b.wait_for(PeerGone) == PeerGone(a.key)
    # Meanwhile the other server of the region takes the client in.
    refuge = await region.two.join(a.private)
    await until_arrives(refuge, b)
    region.one.start()
    await region.one.is_serving()
    assert region.one.pin == pin
    home = await region.one.join(a.private)
    refuge.live.close()
    await until_arrives(home, b)
    await until_arrives(b, home)
    home.live.close()
    b.live.close()


async def test_clients_behind_a_killed_server_are_gone_for_the_others(region: Region) -> None:
    a, b = await region.one.join(region.members[0]), await region.two.join(region.members[1])
    await until_arrives(b, a)
    region.two.stop(signal.SIGKILL)
    await b.wait_for(Disconnected)
    assert await a.wait_for(PeerGone) == PeerGone(b.key)
    await until_not_here(a, b.key)
    a.live.close()
