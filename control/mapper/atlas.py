"""The shared side of all map streams: the network in force, and pieces encoded once for everybody.

Changes come from the ledger. Those that rules or routes depend on lead to a new `NetworkView`,
compiled once for all of them that arrive together, and only sessions that it says something new
to are woken; every other change goes straight to the sessions that were told of the node.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from control.mapper.directory import directory_of, structure_of, wireguard_only
from control.mapper.network import NetworkView
from control.mapper.session import MapSession, Part
from control.mapper.wire_node import Seen, wire_node
from control.wire import TAGGED_DEVICES, Debug, DerpMap, DnsConfig, UserProfile, format_time
from control.wire.framing import KEEP_ALIVE_JSON, compress, dump_json, frame

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from control.mapper.directory import KnownNodes
    from control.mapper.network import PeerRoutes
    from control.registry.ledger import Change
    from control.registry.tailnet import Tailnet
    from control.store.records import NodeRecord, UserRecord
    from control.wire import Reach
    from engine.directory import Directory
    from policy.model.document import Policy

__all__ = ["Atlas", "SelfState"]

_COMPRESSED_KEPT: Final = 512
_MAX_KEPT_BYTES: Final = 1 << 16


class SelfState(NamedTuple):
    """What a node's view of itself follows from."""

    identity: int
    """Of the record, so that comparing two states rarely looks into records."""
    record: NodeRecord
    is_expired: bool
    routes: PeerRoutes
    capabilities: dict[str, Any]


class _Faces(NamedTuple):
    """One node in every state in which somebody sees it at the moment."""

    record: NodeRecord
    is_online: bool
    is_expired: bool
    seen: dict[PeerRoutes, Seen]
    pieces: dict[tuple[Seen, bool], bytes]
    """Encoded, by state and whether others are told capabilities of the node."""


class Atlas:
    """Makes sessions, keeps them informed, and encodes what they share."""

    def __init__(
        self,
        tailnet: Tailnet,
        policy: Policy,
        *,
        domain: str,
        derp_map: DerpMap,
        dns_config: DnsConfig,
        clock: Callable[[], datetime],
        mail_domains: frozenset[str] | None = None,
    ) -> None:
        self._tailnet = tailnet
        self._policy = policy
        self._domain = domain
        self._clock = clock
        self._mail_domains = mail_domains
        self.derp_json = dump_json(derp_map.to_json())
        self.dns_json = dump_json(dns_config.to_json())
        self._sessions: dict[int, MapSession] = {}
        self._viewers: dict[int, set[MapSession]] = {}
        self._structures: dict[int, tuple[Any, ...]] = {}
        self._faces: dict[int, _Faces] = {}
        self._compressed: OrderedDict[bytes, bytes] = OrderedDict()
        self._stale = asyncio.Event()
        self._refreshing = asyncio.Lock()
        self._is_owners_news = False
        self._known: KnownNodes = {}
        self.network = self._new_network()
        self.keep_alive = {
            True: frame(compress(KEEP_ALIVE_JSON)),
            False: frame(KEEP_ALIVE_JSON),
        }
        """The keepalive of compressed and of plain streams."""

    # What changes.

    def on_change(self, change: Change) -> None:
        """Take note of a change that the tailnet has already."""
        if change.is_policy or change.users:
            self._stale.set()
        self._is_owners_news |= bool(change.users)
        for node_id in change.nodes:
            node = self._tailnet.node(node_id)
            session = self._sessions.get(node_id)
            if node is None:
                self._structures.pop(node_id, None)
                self._faces.pop(node_id, None)
                self._stale.set()
                if session is not None:
                    session.end()
                continue
            structure = structure_of(node, is_online=self._tailnet.is_online(node_id))
            if self._structures.get(node_id) != structure:
                self._structures[node_id] = structure
                self._stale.set()
            if session is not None:
                session.mark((node_id,))
        for node_id in change.nodes:
            for viewer in self._viewers.get(node_id, ()):
                viewer.mark((node_id,))

    def set_policy(self, policy: Policy) -> None:
        """Put another policy in force."""
        self._policy = policy
        self._stale.set()

    def set_dns(self, dns_config: DnsConfig) -> None:
        """Put another DNS configuration in force."""
        self.dns_json = dump_json(dns_config.to_json())
        self._wake_all()

    def set_derp_map(self, derp_map: DerpMap) -> None:
        """Tell every node of other relays."""
        self.derp_json = dump_json(derp_map.to_json())
        self._wake_all()

    async def run(self) -> None:
        """Compile a new network whenever the one in force is out of date; runs until cancelled."""
        while True:
            await self._stale.wait()
            await self.refresh()

    async def refresh(self) -> None:
        """Bring the network up to date now; nothing is done where it is."""
        # One at a time: the older of two must not come out last.
        async with self._refreshing:
            if not self._stale.is_set():
                return
            self._stale.clear()
            try:
                network = NetworkView(
                    self._policy, self._directory(), self.network, wireguard_only(self._tailnet)
                )
                # The directory is a snapshot: another thread may read it while requests go on.
                news = await asyncio.to_thread(network.prepare)
            except BaseException:
                # Whoever asked may be gone; the others still wait for it.
                self._stale.set()
                raise
            left = set(self.network.node_ids).difference(network.node_ids)
            self.network = network
        if self._is_owners_news:
            self._is_owners_news = False
            self._wake_all()
        for node_id in news.views | left:
            self._follow(node_id, Part.VIEWS)
        for node_id in news.rules | left:
            self._follow(node_id, Part.RULES)
        for node_id in news.selves | left:
            self._follow(node_id, Part.SELF)
        for node_id in news.origins:
            self._follow(node_id, Part.ORIGINS)

    def _follow(self, node_id: int, part: Part) -> None:
        session = self._sessions.get(node_id)
        if session is not None:
            session.follow(part)

    def _directory(self) -> Directory:
        return directory_of(
            self._tailnet, name=self._domain, domains=self._mail_domains, known=self._known
        )

    def _new_network(self) -> NetworkView:
        self._structures = {
            node.id: structure_of(node, is_online=self._tailnet.is_online(node.id))
            for node in self._tailnet.nodes
        }
        network = NetworkView(
            self._policy, self._directory(), wireguard_only=wireguard_only(self._tailnet)
        )
        network.prepare()
        return network

    def _wake_all(self) -> None:
        for session in self._sessions.values():
            session.mark_all()

    # Streams.

    def open(
        self, node_id: int, *, wants_peers: bool = True, wants_origins: bool = False
    ) -> MapSession:
        """Start a stream; an earlier one of the same node ends."""
        old = self._sessions.get(node_id)
        if old is not None:
            old.end()
        session = MapSession(self, node_id, wants_peers=wants_peers, wants_origins=wants_origins)
        self._sessions[node_id] = session
        return session

    def close(self, session: MapSession) -> bool:
        """Forget a stream; return whether it was its node's newest."""
        for node_id in session.known_peers:
            self.drop_viewer(session, node_id)
        if self._sessions.get(session.node_id) is session:
            del self._sessions[session.node_id]
            return True
        return False

    @property
    def stream_count(self) -> int:
        """How many nodes have a stream."""
        return len(self._sessions)

    def note_viewer(self, session: MapSession, node_id: int) -> None:
        """Note that a session was told of a node, so that it hears when that changes."""
        self._viewers.setdefault(node_id, set()).add(session)

    def drop_viewer(self, session: MapSession, node_id: int) -> None:
        """Note that a session knows a node no longer."""
        viewers = self._viewers.get(node_id)
        if viewers is not None:
            viewers.discard(session)
            if not viewers:
                del self._viewers[node_id]

    # What sessions ask.

    def has(self, node_id: int) -> bool:
        """Return whether a node exists."""
        return self._tailnet.node(node_id) is not None

    def record(self, node_id: int) -> NodeRecord | None:
        """Return a node's record."""
        return self._tailnet.node(node_id)

    def user(self, user_id: int | None) -> UserRecord | None:
        """Return a user's record; None for the owner of tagged nodes."""
        return None if user_id is None else self._tailnet.user(user_id)

    def takes_part(self, node_id: int) -> bool:
        """Return whether a node sees anybody: expired and unapproved ones do not."""
        node = self._tailnet.node(node_id)
        return node is not None and node.is_authorized and not node.is_expired(self._clock())

    def reach(self, node_id: int) -> tuple[Reach, ...]:
        """Return what a node may reach, as the network in force has it."""
        return self.network.reach(node_id) if self.takes_part(node_id) else ()

    def seen(self, node_id: int, routes: PeerRoutes, now: datetime) -> Seen | None:
        """Return a node in the state in which a viewer with these routes sees it.

        Viewers who see it alike share the object.
        """
        record = self._tailnet.node(node_id)
        if record is None:
            return None
        is_online, is_expired = self._tailnet.is_online(node_id), record.is_expired(now)
        faces = self._faces.get(node_id)
        if (
            faces is None
            or faces.record is not record
            or faces.is_online != is_online
            or faces.is_expired != is_expired
        ):
            faces = self._faces[node_id] = _Faces(record, is_online, is_expired, {}, {})
        seen = faces.seen.get(routes)
        if seen is None:
            seen = faces.seen[routes] = Seen(
                record=record,
                is_online=is_online,
                is_expired=is_expired,
                allowed_ips=routes.allowed_ips,
                primary_routes=routes.primary_routes,
            )
        return seen

    def peer_json(self, seen: Seen) -> bytes:
        """Return a peer encoded, as `seen` gave it; viewers who see it alike share the bytes."""
        record = seen.record
        cap_map = self.network.peer_capabilities(record.id) or None
        pieces = self._faces[record.id].pieces
        key = (seen, cap_map is None)
        piece = pieces.get(key)
        if piece is None:
            own = {f"{ip}/{ip.max_prefixlen}" for ip in record.addresses}
            addresses = tuple(text for text in seen.allowed_ips if text in own)
            wire = wire_node(
                seen, suffix=self._domain, addresses=addresses, cap_map=cap_map, is_self=False
            )
            piece = pieces[key] = dump_json(wire.to_json())
        return piece

    def self_state(self, node_id: int) -> SelfState | None:
        """Return what a node's view of itself follows from, cheap to compare."""
        record = self._tailnet.node(node_id)
        if record is None:
            return None
        return SelfState(
            id(record),
            record,
            record.is_expired(self._clock()),
            self.network.own_routes(node_id),
            self.network.self_capabilities(node_id),
        )

    def self_json(self, state: SelfState) -> bytes:
        """Return a node as it sees itself."""
        record, routes = state.record, state.routes
        own = tuple(f"{ip}/{ip.max_prefixlen}" for ip in record.addresses)
        # A node that the directory lacks, such as one that waits for approval, has no routes.
        addresses = tuple(text for text in own if text in routes.allowed_ips) or own
        seen = Seen(
            record=record,
            is_online=True,
            is_expired=state.is_expired,
            allowed_ips=routes.allowed_ips or own,
            primary_routes=routes.primary_routes,
        )
        cap_map = {
            name: [] if values is None else values for name, values in state.capabilities.items()
        }
        wire = wire_node(
            seen, suffix=self._domain, addresses=addresses, cap_map=cap_map or None, is_self=True
        )
        return dump_json(wire.to_json())

    def profile_json(self, user: UserRecord | None) -> bytes:
        """Return an owner encoded; None is the owner of tagged nodes."""
        if user is None:
            return dump_json(TAGGED_DEVICES.to_json())
        profile = UserProfile(
            id=user.id,
            login_name=user.login_name,
            display_name=user.display_name or user.name,
            profile_pic_url=user.picture_url,
        )
        return dump_json(profile.to_json())

    def first_fields(self, now: datetime) -> dict[str, bytes]:
        """Return what only the first message of a stream has."""
        return {
            "Domain": dump_json(self._domain),
            "CollectServices": b"false",
            "ControlTime": dump_json(format_time(now)),
            "Debug": dump_json(Debug(disable_log_tail=True).to_json()),
        }

    def framed(self, message: bytes, *, is_compressed: bool) -> bytes:
        """Return a message as a frame; the same small change for many nodes is compressed once."""
        if not is_compressed:
            return frame(message)
        if len(message) > _MAX_KEPT_BYTES:
            return frame(compress(message))
        framed = self._compressed.get(message)
        if framed is None:
            framed = self._compressed[message] = frame(compress(message))
            if len(self._compressed) > _COMPRESSED_KEPT:
                self._compressed.popitem(last=False)
        return framed
