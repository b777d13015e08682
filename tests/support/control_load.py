"""Load on control servers that are killed, and what they acknowledged in the meantime."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp

from control.store import queries, secrets_at_rest
from control.store.database import Database
from control.store.secrets_at_rest import Secret, SecretKind
from node.session.driver import (
    ControlClient,
    ControlLostError,
    ControlRefusedError,
    fetch_server_key,
)
from node.session.login import LoginFailed, Registered
from tests.support.control_server import TestNode

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from control.store.records import NodeRecord
    from tests.support.control_process import ControlProcess
    from tests.support.control_server import Control

__all__ = ["Load", "Promises", "issue_keys", "resume"]

_TAGS = ("tag:x", "tag:y", "tag:z")
_ROUTE = "10.{}.0.0/16"
_HOST = "host"
_RETRY_S = 0.05


def policy_text() -> str:
    """Return a policy that is set once."""
    owners = ", ".join(f'"{tag}": []' for tag in _TAGS)
    return f'{{"tagOwners": {{{owners}}}, "acls": [], /* {os.urandom(8).hex()} */}}'


async def issue_keys(database_url: str, count: int) -> list[str]:
    """Put single-use keys for tagged nodes into the database."""
    database = await Database.open(database_url)
    now, texts = datetime.now(UTC), []
    async with database.writing() as connection:
        for _ in range(count):
            secret = Secret.generate(SecretKind.AUTH, os.urandom)
            await secrets_at_rest.add_auth_key(
                connection,
                secret,
                user_id=None,
                is_reusable=False,
                is_ephemeral=False,
                tags=_TAGS[:1],
                expires_at=now + timedelta(days=1),
                now=now,
            )
            texts.append(secret.to_secret_text())
    await database.close()
    return texts


@dataclass(slots=True)
class Promises:
    """What was acknowledged. A change that was begun and not acknowledged may hold or not."""

    nodes: list[TestNode] = field(default_factory=list)
    policies: list[str] = field(default_factory=list)
    kept: dict[tuple[int, str], Any] = field(default_factory=dict)
    """The last acknowledged value of a property of a node."""
    begun: dict[tuple[int, str], list[Any]] = field(default_factory=dict)
    """Values that were asked for after it."""
    refused: list[str] = field(default_factory=list)
    """Unspent keys that were refused, which must not happen."""
    count: int = 0
    kinds: Counter[str] = field(default_factory=Counter)

    @property
    def summary(self) -> str:
        """How many of each kind."""
        return ", ".join(f"{kind} {number}" for kind, number in sorted(self.kinds.items()))

    def note(self, kind: str) -> None:
        """Count an acknowledged change."""
        self.count += 1
        self.kinds[kind] += 1

    def sample(self, chance: random.Random, most: int) -> list[TestNode]:
        """Return some nodes that were let in."""
        return chance.sample(self.nodes, min(most, len(self.nodes)))

    async def check(self, database_url: str) -> None:
        """Hold the database to everything."""
        database = await Database.open(database_url)
        try:
            async with database.reading() as connection:
                nodes = await queries.nodes(connection)
                versions = await queries.policy_versions(connection, most=1_000_000)
        finally:
            await database.close()
        stored = {node.node_key: node for node in nodes}
        assert {node.key.public for node in self.nodes} <= set(stored)
        for given in ("ipv4", "ipv6", "auth_key_id", "node_key", "given_name"):
            assert max(Counter(getattr(n, given) for n in nodes).values(), default=1) == 1, given
        assert Counter(self.policies) <= Counter(version.text for version in versions)
        by_id = {node.id: node for node in nodes}
        for (node_id, name), value in self.kept.items():
            found = _property(by_id[node_id], name)
            allowed = [value, *self.begun.get((node_id, name), [])]
            assert found in allowed, (node_id, name, found, allowed)
            self.kept[node_id, name] = found
        self.begun.clear()
        assert self.refused == []


def _property(node: NodeRecord, name: str) -> Any:
    match name:
        case "tags":
            return list(node.tags)
        case "routes":
            return sorted(str(route) for route in node.approved_routes)
        case _:
            return node.expires_at is not None


class Load:
    """Nodes that join, two for each key, and an administrator who changes things meanwhile."""

    def __init__(self, servers: Sequence[ControlProcess | Control], promises: Promises) -> None:
        self._servers = servers
        self._promises = promises
        self._first = asyncio.Event()
        self.is_over = False
        self.may_end = asyncio.Event()
        """Set it to let the administrator end too, once every node has come."""
        self._turn = 0

    async def acknowledged(self, count: int, running: asyncio.Task[None]) -> None:
        """Wait until so many changes more were acknowledged, or everything is over."""
        wanted = self._promises.count + count
        while not running.done() and self._promises.count < wanted:
            await asyncio.wait({running}, timeout=0.005)

    async def run(self, keys: Sequence[str]) -> None:
        """Go on until every key was tried; servers may vanish at any time."""
        joining = [
            self._join_either(key, self._servers[at % len(self._servers)])
            for at, key in enumerate(keys)
        ]
        administering = asyncio.create_task(self._administer())
        await asyncio.gather(*joining)
        await self.may_end.wait()
        self.is_over = True
        await administering

    async def _join_either(self, key: str, server: ControlProcess | Control) -> None:
        outcomes = await asyncio.gather(
            *(self._join(TestNode(_HOST), key, server) for _ in range(2))
        )
        assert sum(isinstance(outcome, Registered) for outcome in outcomes) <= 1
        if all(isinstance(outcome, LoginFailed) for outcome in outcomes):
            self._promises.refused.append(str(outcomes))

    async def _join(
        self, node: TestNode, key: str, server: ControlProcess | Control
    ) -> Registered | LoginFailed | None:
        try:
            server_key = await fetch_server_key(server.url)
            async with ControlClient.connect(
                server.url, machine=node.machine, server=server_key, entropy=os.urandom
            ) as client:
                outcome = await node.join(client, key)
        except (ControlLostError, ControlRefusedError):
            return None
        if isinstance(outcome, Registered):
            self._promises.nodes.append(node)
            self._promises.note("registrations")
            self._first.set()
        return outcome

    async def _administer(self) -> None:
        """Change policies, tags, routes and expiries, one after the other."""
        await self._first.wait()
        while not self.is_over:
            self._turn += 1
            server = self._servers[self._turn % len(self._servers)]
            connector = aiohttp.UnixConnector(str(server.socket))
            timeout = aiohttp.ClientTimeout(total=60)
            try:
                async with aiohttp.ClientSession(
                    "http://control", connector=connector, timeout=timeout, raise_for_status=True
                ) as api:
                    await self._change(api, self._turn)
            except (aiohttp.ClientError, OSError):
                # It was killed meanwhile, or has no database.
                await asyncio.sleep(_RETRY_S)

    async def _change(self, api: aiohttp.ClientSession, turn: int) -> None:
        promises = self._promises
        if turn % 4 == 1 or not promises.policies:
            text = policy_text()
            await _call(api, "PUT", "policy", {"policy": text})
            promises.policies.append(text)
            promises.note("policies")
            return
        # Only those that came by this load: others watch what it does, and must stay as they are.
        nodes = [n for n in (await _call(api, "GET", "node"))["nodes"] if n["name"] == _HOST]
        number = int(nodes[turn * 7919 % len(nodes)]["id"])
        match turn % 4:
            case 2:
                tags = [_TAGS[turn // 4 % len(_TAGS)]]
                await self._promise(api, number, "tags", tags, ("tags", {"tags": tags}))
            case 3:
                routes = [_ROUTE.format(turn % 200)]
                call = ("approve_routes", {"routes": routes})
                await self._promise(api, number, "routes", routes, call)
            case _:
                is_ending = turn // 4 % 2 == 0
                body = {} if is_ending else {"disableExpiry": True}
                await self._promise(api, number, "expires", is_ending, ("expire", body))

    async def _promise(
        self,
        api: aiohttp.ClientSession,
        number: int,
        name: str,
        value: Any,
        call: tuple[str, dict[str, Any]],
    ) -> None:
        promises = self._promises
        # Tagging ends an expiry.
        wanted: dict[str, Any] = {name: value}
        if name == "tags":
            wanted["expires"] = False
        for each, its_value in wanted.items():
            if (number, each) in promises.kept:
                promises.begun.setdefault((number, each), []).append(its_value)
        verb, body = call
        await _call(api, "POST", f"node/{number}/{verb}", body)
        for each, its_value in wanted.items():
            promises.kept[number, each] = its_value
            promises.begun.pop((number, each), None)
        promises.note(name)


async def _call(
    api: aiohttp.ClientSession, method: str, path: str, body: dict[str, Any] | None = None
) -> Any:
    async with api.request(method, f"/api/v1/{path}", json=body) as answer:
        return await answer.json()


async def resume(server: ControlProcess | Control, node: TestNode) -> None:
    """Poll as the node without logging in; it must be known."""
    server_key = await fetch_server_key(server.url)
    async with ControlClient.connect(
        server.url, machine=node.machine, server=server_key, entropy=os.urandom
    ) as client:
        stream = node.stream(client)
        await stream.next()
        assert stream.held.self_node.key == node.key.public
