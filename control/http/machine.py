"""`/machine/*`: what nodes ask over the control channel (control reference 5.1)."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog

from control.channel.responses import ChannelResponse
from control.http.ssh_actions import SSH_ACTION
from control.mapper.directory import effective_routes
from control.mapper.session import MapSession
from control.registry.ledger import Change
from control.store.queries import deleted_node_machine_key
from control.wire import (
    REACH_PATH,
    MapRequest,
    MapResponse,
    ReachResponse,
    RegisterRequest,
    WireError,
    WireNode,
    capability,
)
from control.wire.framing import dump_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from control.channel.responses import ChannelRequest, ResponseStream
    from control.http.ratelimit import RateLimit
    from control.http.ssh_actions import SshActions
    from control.identity.registrar import Registrar
    from control.keys import NodePublic
    from control.mapper.atlas import Atlas
    from control.registry.ledger import Ledger
    from control.registry.presence import Presence
    from control.registry.reports import Reports
    from control.store.records import NodeRecord
    from control.wire import Message

__all__ = ["MACHINE_PATHS", "MachineApi", "Route"]

MIN_GAP_S: Final = 0.1
"""Shortest time between two deltas of one stream; the first goes at once."""
KEEP_ALIVE_S: Final = 50.0
KEEP_ALIVE_SPREAD_S: Final = 9.0

_NOT_IMPLEMENTED: Final = frozenset(
    {
        "/machine/set-dns",
        "/machine/id-token",
        "/machine/set-device-attr",
    }
)
_NOT_IMPLEMENTED_BELOW: Final = ("/machine/tka/", "/machine/webclient/")
MACHINE_PATHS: Final = _NOT_IMPLEMENTED | {
    "/machine/audit-log",
    "/machine/feature/query",
    "/machine/map",
    "/machine/register",
    "/machine/update-health",
    "/machine/whoami",
}
"""What nodes are known to ask for, apart from paths with numbers in them."""
_UNKNOWN_NODE: Final = ChannelResponse.text(404, "node not found; log in again")
_log = structlog.get_logger("control.machine")

M = TypeVar("M", bound="Message")


class _BadRequestError(Exception):
    """The body is not what the endpoint reads."""


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint of the control channel."""

    answer: Callable[[ChannelRequest, ResponseStream], Awaitable[ChannelResponse | None]]
    speaks_for_node: bool
    """It acts for the node in its body and is for nobody else."""


class MachineApi:
    """Answers requests of nodes. Every one is checked against the machine key that sent it."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        registrar: Registrar,
        reports: Reports,
        presence: Presence,
        atlas: Atlas,
        register_limit: RateLimit,
        ssh_actions: SshActions,
    ) -> None:
        self._ledger = ledger
        self._registrar = registrar
        self._reports = reports
        self._presence = presence
        self._atlas = atlas
        self._register_limit = register_limit
        self._ssh_actions = ssh_actions
        self.routes = self._table()
        """By method and path; a test asks every one for what is not the asker's."""

    async def handle(
        self, request: ChannelRequest, stream: ResponseStream
    ) -> ChannelResponse | None:
        """Answer one request, or stream and return None."""
        try:
            route = self.routes.get((request.method, request.path))
            if route is not None:
                return await route.answer(request, stream)
            if request.method == "GET" and request.path.startswith(SSH_ACTION):
                return await self._ssh_actions.answer(request)
        except _BadRequestError as error:
            return ChannelResponse.text(400, str(error))
        path = request.path
        if path in _NOT_IMPLEMENTED or path.startswith(_NOT_IMPLEMENTED_BELOW):
            return ChannelResponse.text(501, "Not implemented yet")
        return ChannelResponse.text(404, "not found")

    def _table(self) -> dict[tuple[str, str], Route]:
        by_machine, by_node = Route, self._for_nodes
        return {
            # Registering and polling tell a machine itself what became of its node.
            ("POST", "/machine/register"): by_machine(self._register, speaks_for_node=False),
            ("POST", "/machine/map"): by_machine(self._map, speaks_for_node=False),
            ("GET", "/machine/whoami"): by_machine(self._whoami, speaks_for_node=False),
            ("POST", "/machine/feature/query"): by_node(self._feature),
            ("POST", "/machine/update-health"): by_node(self._health),
            ("POST", "/machine/audit-log"): by_node(self._audit_log),
            ("POST", REACH_PATH): by_node(self._reach),
        }

    def _for_nodes(
        self, answer: Callable[[ChannelRequest, NodeRecord], Awaitable[ChannelResponse]]
    ) -> Route:
        """Return a route for living nodes of the machine that asks.

        Unknown, foreign, deleted, expired and unapproved nodes all hear the same.
        """

        async def checked(request: ChannelRequest, _stream: ResponseStream) -> ChannelResponse:
            node = await self._authentic(_read(MapRequest, request.body).node_key, request)
            if node is None or not node.is_authorized or node.is_expired(self._ledger.now()):
                return _UNKNOWN_NODE
            return await answer(request, node)

        return Route(checked, speaks_for_node=True)

    async def _authentic(self, key: NodePublic, request: ChannelRequest) -> NodeRecord | None:
        await self._ledger.learn_node(key)
        return self._ledger.tailnet.authentic_node(key, request.machine)

    async def _whoami(self, request: ChannelRequest, _stream: ResponseStream) -> ChannelResponse:
        return _json({"MachineKey": request.machine.to_text()})

    async def _feature(self, _request: ChannelRequest, _node: NodeRecord) -> ChannelResponse:
        return _json({"Complete": True, "Text": "this server does not offer it"})

    async def _health(self, _request: ChannelRequest, _node: NodeRecord) -> ChannelResponse:
        return ChannelResponse(204)

    async def _register(self, request: ChannelRequest, _stream: ResponseStream) -> ChannelResponse:
        for key in (request.remote, request.machine):
            wait_s = self._register_limit.wait_s(key)
            if wait_s > 0:
                refused = ChannelResponse.text(429, "too many registrations; wait and try again")
                return replace(refused, headers=(("retry-after", str(math.ceil(wait_s))),))
        register = _read(RegisterRequest, request.body)
        response = await self._registrar.register(register, request.machine, request.version)
        if response.error:
            _log.info("registration refused", remote=request.remote, reason=response.error)
        node = self._ledger.tailnet.authentic_node(register.node_key, request.machine)
        if node is not None and node.is_ephemeral:
            self._presence.expect(node.id, asyncio.get_running_loop().time())
        return _json(response.to_json())

    async def _map(self, request: ChannelRequest, stream: ResponseStream) -> ChannelResponse | None:
        wanted = _read(MapRequest, request.body)
        version = max(request.version, wanted.version)
        if not capability.is_supported(version):
            _log.info("old client refused", remote=request.remote, version=version)
            return ChannelResponse.text(400, capability.refusal(version))
        node = await self._authentic(wanted.node_key, request)
        if node is None:
            return await self._farewell(wanted, request)
        if not wanted.read_only:
            node = await self._reports.take(node, wanted, request.version)
        if wanted.stream:
            await self._stream(node, wanted, stream)
            return None
        if wanted.omit_peers:
            return ChannelResponse(200)
        return self._one_shot(node, wanted)

    def _one_shot(self, node: NodeRecord, wanted: MapRequest) -> ChannelResponse:
        session = MapSession(self._atlas, node.id, wants_origins=wanted.wants_origins)
        try:
            message = session.next_message(self._ledger.now()) or b"{}"
        finally:
            self._atlas.close(session)
        framed = self._atlas.pieces.framed(message, is_compressed=wanted.compress == "zstd")
        return ChannelResponse(200, framed, "application/octet-stream")

    async def _stream(self, node: NodeRecord, wanted: MapRequest, stream: ResponseStream) -> None:
        # The head goes before any work: the node's patience is counted from its request.
        stream.start(200)
        loop = asyncio.get_running_loop()
        session = self._atlas.open(
            node.id, wants_peers=not wanted.omit_peers, wants_origins=wanted.wants_origins
        )
        self._presence.connected(node.id)
        try:
            self._set_online(node.id)
            await self._feed(session, wanted, stream)
        finally:
            self._atlas.close(session)
            current = self._ledger.tailnet.node(node.id)
            self._presence.disconnected(
                node.id,
                loop.time(),
                is_ephemeral=current is not None and current.is_ephemeral,
                is_router=self._is_router(node.id),
            )

    def _is_router(self, node_id: int) -> bool:
        node = self._ledger.tailnet.node(node_id)
        return node is not None and bool(effective_routes(node))

    async def _feed(self, session: MapSession, wanted: MapRequest, stream: ResponseStream) -> None:
        loop = asyncio.get_running_loop()
        is_compressed = wanted.compress == "zstd"
        # Streams that began together must not all wake at the same moment for ever after.
        patience = KEEP_ALIVE_S + session.node_id * 2654435761 % 1000 / 1000 * KEEP_ALIVE_SPREAD_S
        sent_at, keep_alive_at = -math.inf, loop.time() + patience
        is_watched = False
        while not session.is_over:
            if not is_watched and self._is_router(session.node_id):
                # Another may stand in for it, as soon as it is known to be gone.
                is_watched = True
                stream.watch()
            message = session.next_message(self._ledger.now())
            if message is not None:
                await stream.send(self._atlas.pieces.framed(message, is_compressed=is_compressed))
                sent_at = loop.time()
                keep_alive_at = sent_at + patience
            try:
                # Counted from what was sent last: to be woken for nothing is no sign of life.
                async with asyncio.timeout_at(keep_alive_at):
                    await session.wake.wait()
            except TimeoutError:
                if wanted.keep_alive:
                    await stream.send(self._atlas.pieces.keep_alive[is_compressed])
                keep_alive_at = loop.time() + patience
            if (wait_s := sent_at + MIN_GAP_S - loop.time()) > 0 and not session.is_over:
                await asyncio.sleep(wait_s)

    def _set_online(self, node_id: int) -> None:
        # Another server may hold it too, and has to know who does when it lets go.
        self._ledger.tell_neighbours(node_id, is_online=True)
        if self._ledger.tailnet.set_online(node_id, is_online=True):
            self._ledger.announce(Change(nodes=frozenset({node_id})))

    async def _farewell(self, wanted: MapRequest, request: ChannelRequest) -> ChannelResponse:
        """Tell a deleted node to log in again; anybody else learns nothing."""
        async with self._ledger.database.reading() as connection:
            machine_text = await deleted_node_machine_key(connection, wanted.node_key)
        if machine_text != request.machine.to_text() or (wanted.omit_peers and not wanted.stream):
            return _UNKNOWN_NODE
        ended = self._ledger.now() - timedelta(hours=1)
        node = WireNode(
            id=1, key=wanted.node_key, key_expiry=ended, machine=request.machine, expired=True
        )
        message = dump_json(MapResponse(node=node, packet_filters={"base": ()}).to_json())
        framed = self._atlas.pieces.framed(message, is_compressed=wanted.compress == "zstd")
        return ChannelResponse(200, framed, "application/octet-stream")

    async def _reach(self, _request: ChannelRequest, node: NodeRecord) -> ChannelResponse:
        # It looks at every filter; other requests go on meanwhile.
        reach = await asyncio.to_thread(self._atlas.reach, node.id)
        return _json(ReachResponse(reach=reach).to_json())

    async def _audit_log(self, request: ChannelRequest, node: NodeRecord) -> ChannelResponse:
        entry = _read_object(request.body)
        details = str(entry.get("Details", ""))[:1000]
        async with self._ledger.transaction(f"node:{node.id}") as transaction:
            action = str(entry.get("Action", ""))[:100]
            await transaction.audit(f"client.{action}", f"node:{node.id}", details=details)
        return _json({})


def _read_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise _BadRequestError("the body is not JSON") from None
    if not isinstance(value, dict):
        raise _BadRequestError("the body is not a JSON object")
    return value


def _read(kind: type[M], body: bytes) -> M:
    try:
        return kind.from_json(_read_object(body))
    except WireError as error:
        raise _BadRequestError(str(error)) from None


def _json(value: Any) -> ChannelResponse:
    return ChannelResponse(200, dump_json(value))
