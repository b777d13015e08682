"""The shared side of all map streams: the network in force, and who hears of a change.

Changes come from the ledger. Those that rules or routes depend on lead to a new `NetworkView`,
compiled once for all of them that arrive together, and only sessions that it says something new
to are woken; every other change goes straight to the sessions that were told of the node.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from control.mapper.directory import directory_of, structure_of, wireguard_only
from control.mapper.network import NetworkView
from control.mapper.pieces import Pieces, SelfState
from control.mapper.session import MapSession, Part

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from control.mapper.directory import KnownNodes
    from control.mapper.network import PeerRoutes
    from control.mapper.wire_node import Seen
    from control.registry.ledger import Change
    from control.registry.tailnet import Tailnet
    from control.store.records import NodeRecord, UserRecord
    from control.wire import DerpMap, DnsConfig, Reach
    from engine.directory import Directory
    from policy.model.document import Policy

__all__ = ["Atlas"]


class Atlas:
    """Makes sessions and keeps them informed."""

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
        self.pieces = Pieces(domain, derp_map=derp_map, dns_config=dns_config)
        self._sessions: dict[int, MapSession] = {}
        self._viewers: dict[int, set[MapSession]] = {}
        self._structures: dict[int, tuple[Any, ...]] = {}
        self._stale = asyncio.Event()
        self._refreshing = asyncio.Lock()
        self._concerns_everybody = False
        self._known: KnownNodes = {}
        self.network = self._new_network()

    # What changes.

    def on_change(self, change: Change) -> None:
        """Take note of a change that the tailnet has already."""
        if change.is_policy or change.users:
            self._stale.set()
        self._concerns_everybody |= bool(change.users)
        for user_id in change.users:
            self.pieces.forget_user(user_id)
        for node_id in change.nodes:
            node = self._tailnet.node(node_id)
            session = self._sessions.get(node_id)
            if node is None:
                self._structures.pop(node_id, None)
                self.pieces.forget_node(node_id)
                self._stale.set()
                if session is not None:
                    session.end()
                continue
            structure = structure_of(node, is_online=self._tailnet.is_online(node_id))
            if node_id not in self._structures and node_id in self.network.node_ids:
                # Viewers may have heard that it is gone, and the next network shows it as before.
                self._concerns_everybody = True
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
        self.pieces.set_dns(dns_config)
        self._wake_all()

    def set_derp_map(self, derp_map: DerpMap) -> None:
        """Tell every node of other relays."""
        self.pieces.set_derp_map(derp_map)
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
        if self._concerns_everybody:
            self._concerns_everybody = False
            self._wake_all()
        for node_id in news.views:
            self._follow(node_id, Part.VIEWS)
        for node_id in news.rules:
            self._follow(node_id, Part.RULES)
        # Whoever lost its approval is in no network: sessions see for themselves what that takes
        # from them, except what the network says of the node itself.
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
        return self.pieces.seen(
            record,
            routes,
            is_online=self._tailnet.is_online(node_id),
            is_expired=record.is_expired(now),
        )

    def peer_json(self, seen: Seen) -> bytes:
        """Return a peer encoded, as `seen` gave it just now."""
        return self.pieces.peer(seen, self.network.peer_capabilities(seen.record.id))

    def self_json(self, node_id: int) -> bytes | None:
        """Return a node as it sees itself, None for one that is gone.

        The same object for as long as it is told the same.
        """
        record = self._tailnet.node(node_id)
        if record is None:
            return None
        state = SelfState(
            record,
            record.is_expired(self._clock()),
            self.network.own_routes(node_id),
            self.network.self_capabilities(node_id),
        )
        return self.pieces.self_node(state)
