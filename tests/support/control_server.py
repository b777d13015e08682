"""A control server on loopback and nodes that talk to it with the real client."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from control.app import ControlServer, running_server
from control.config import ControlConfig
from control.keys import DiscoPrivate, MachinePrivate, NodePrivate
from control.store import secrets_at_rest
from control.store.records import UserRecord
from control.store.secrets_at_rest import Secret, SecretKind
from control.wire import Hostinfo, MapRequest
from node.netmap.fold import NetMapChange, fold
from node.session.driver import ControlClient, ControlUrl, fetch_server_key
from node.session.login import Login, LoginFailed, Registered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from control.wire import MapResponse
    from node.netmap.netmap import NetMap

__all__ = ["Stream", "TestNode", "control_config", "running_control"]


def control_config(directory: Path, **changes: Any) -> ControlConfig:
    """Return a configuration whose files are in `directory` and whose ports are free ones."""
    values: dict[str, Any] = {
        "listen_addr": "127.0.0.1:0",
        "metrics_listen_addr": "",
        "unix_socket": str(directory / "control.sock"),
        "database": f"sqlite:///{directory / 'control.db'}",
        "noise": {"private_key_path": str(directory / "noise.key")},
        "shutdown_spread": 0,
        "dns": {"base_domain": "tail.example"},
    }
    return ControlConfig(**{**values, **changes})


@dataclass(slots=True)
class Control:
    """A running server and short ways to set a test up."""

    server: ControlServer

    @property
    def url(self) -> ControlUrl:
        """Where it listens."""
        return ControlUrl("http", "127.0.0.1", self.server.port)

    @property
    def socket(self) -> Path:
        """Where its local API is."""
        path = self.server.config.unix_socket
        assert path is not None
        return path

    async def add_user(self, name: str = "ann", **values: Any) -> UserRecord:
        """Make a user."""
        async with self.server.ledger.transaction("test") as transaction:
            made = UserRecord(
                id=0, name=name, email=f"{name}@example.com", created_at=datetime.now(UTC), **values
            )
            return await transaction.add_user(made)

    async def add_auth_key(self, user: UserRecord | None = None, **values: Any) -> str:
        """Make an auth key and return its text."""
        secret = Secret.generate(SecretKind.AUTH, os.urandom)
        now = datetime.now(UTC)
        merged: dict[str, Any] = {
            "user_id": None if user is None else user.id,
            "is_reusable": True,
            "is_ephemeral": False,
            "tags": (),
            "expires_at": now + timedelta(hours=1),
            "now": now,
            **values,
        }
        async with self.server.database.writing() as connection:
            await secrets_at_rest.add_auth_key(connection, secret, **merged)
        return secret.to_secret_text()


@asynccontextmanager
async def running_control(config: ControlConfig) -> AsyncIterator[Control]:
    """Run a server for the length of the block."""
    async with running_server(config) as server:
        yield Control(server)


@dataclass(slots=True)
class Stream:
    """A map stream and the netmap that its messages fold to."""

    messages: AsyncIterator[MapResponse]
    netmap: NetMap | None = None
    heard: list[MapResponse] = field(default_factory=list)

    async def next(self, timeout_s: float = 60.0) -> NetMapChange:
        """Take one message in."""
        async with asyncio.timeout(timeout_s):
            message = await anext(self.messages)
        self.heard.append(message)
        self.netmap, change = fold(self.netmap, message, datetime.now(UTC))
        return change

    @property
    def held(self) -> NetMap:
        """The netmap; there must be one."""
        assert self.netmap is not None
        return self.netmap

    async def until(self, condition: Any, timeout_s: float = 60.0) -> NetMap:
        """Take messages in until the netmap satisfies a condition."""
        async with asyncio.timeout(timeout_s):
            while self.netmap is None or not condition(self.netmap):
                await self.next(timeout_s)
        return self.netmap


@dataclass(slots=True)
class TestNode:
    """A node with keys of its own."""

    __test__ = False

    hostname: str = "alpha"
    hostinfo: dict[str, Any] = field(default_factory=dict)
    machine: MachinePrivate = field(default_factory=lambda: MachinePrivate.generate(os.urandom))
    key: NodePrivate = field(default_factory=lambda: NodePrivate.generate(os.urandom))
    disco: DiscoPrivate = field(default_factory=lambda: DiscoPrivate.generate(os.urandom))

    @asynccontextmanager
    async def connected(self, control: Control) -> AsyncIterator[ControlClient]:
        """Connect for the length of the block."""
        key = await fetch_server_key(control.url)
        async with ControlClient.connect(
            control.url, machine=self.machine, server=key, entropy=os.urandom
        ) as client:
            yield client

    @property
    def described(self) -> Hostinfo:
        """What the node says about its host."""
        return Hostinfo({"Hostname": self.hostname, "OS": "linux", **self.hostinfo})

    def login(self, auth_key: str = "", **values: Any) -> Login:
        """Return an attempt to be registered."""
        return Login(
            node_key=self.key,
            hostinfo=self.described,
            entropy=os.urandom,
            auth_key=auth_key,
            **values,
        )

    async def join(
        self, client: ControlClient, auth_key: str, **values: Any
    ) -> Registered | LoginFailed:
        """Register with an auth key; a new node key is kept."""
        outcome = await client.log_in(self.login(auth_key, **values), _nobody_clicks)
        if isinstance(outcome, Registered):
            self.key = outcome.node_key
        return outcome

    def request(self, **values: Any) -> MapRequest:
        """Return a map request."""
        merged: dict[str, Any] = {
            "version": 113,
            "compress": "zstd",
            "keep_alive": True,
            "node_key": self.key.public,
            "disco_key": self.disco.public,
            "stream": True,
            "hostinfo": self.described,
            "endpoints": ("192.0.2.1:41641",),
            **values,
        }
        return MapRequest(**merged)

    def stream(self, client: ControlClient, **values: Any) -> Stream:
        """Start a map stream."""
        return Stream(client.poll(self.request(**values)))


def _nobody_clicks(url: str) -> None:
    raise AssertionError(f"nobody is there to open {url}")
