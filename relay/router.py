"""Who is connected to this relay, and where a packet for a node key goes.

A key maps to its active connection; further connections with the same key stay open but receive
nothing until they send something or the active one leaves (relay reference 1.9). Keys that are
not here may be behind a mesh peer of the same region (1.10). INVARIANT: the source of whatever a
connection sends is the key it was registered under, never anything it says later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.counters import Counters, DropReason, PacketKind
from relay.errors import Fault
from relay.frames import (
    FrameType,
    IpAddress,
    PeerGone,
    PeerGoneReason,
    PeerPresent,
    PresenceFlag,
    encode,
    is_disco,
    pack_frame,
)
from relay.ratelimit import RateLimit, TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from relay.outbox import Outbox

__all__ = ["Connection", "Router"]

NOT_HERE_LIMIT = RateLimit(per_second=1.0, burst=3.0)
"""How often one client is told that a peer is not here."""


FEW_DEPARTURES = 1024
"""So many keys may leave, beside as many as are here, before what they heard is forgotten."""


class Connection:
    """One open connection, registered under the node key that it proved to own."""

    __slots__ = (
        "address",
        "connected_at",
        "flags",
        "has_twin",
        "hearers",
        "is_gone",
        "is_home",
        "is_watcher",
        "key",
        "not_here_budget",
        "on_close",
        "outbox",
        "port",
    )

    def __init__(
        self,
        key: bytes,
        outbox: Outbox,
        on_close: Callable[[Fault], None],
        *,
        address: IpAddress,
        port: int,
        flags: PresenceFlag,
        now: float,
    ) -> None:
        self.key = key
        self.outbox = outbox
        self.on_close = on_close
        self.address = address
        self.port = port
        self.flags = flags
        self.connected_at = now
        self.is_gone = False
        """Whether it was removed from the router."""
        self.is_home = False
        self.is_watcher = False
        self.has_twin = False
        """Whether another connection holds the same key, so that activity has to be noted."""
        self.hearers: set[bytes] = set()
        """Keys this one sent to; shared by all connections of its key."""
        self.not_here_budget = TokenBucket(NOT_HERE_LIMIT, now)

    @property
    def is_mesh_peer(self) -> bool:
        """Whether this is another server of the region."""
        return PresenceFlag.MESH_PEER in self.flags

    @property
    def is_ideal(self) -> bool:
        """Whether the client would not rather be on another node of the region."""
        return PresenceFlag.NOT_IDEAL not in self.flags

    def presence(self) -> bytes:
        """Return the PeerPresent frame that watchers get for this connection."""
        return encode(PeerPresent(self.key, self.address, self.port, self.flags))


class Router:
    """The table of connections and forwarders. Pure: bytes go into outboxes, nowhere else."""

    def __init__(self, counters: Counters) -> None:
        self.counters = counters
        self._active: dict[bytes, Connection] = {}
        self._twins: dict[bytes, list[Connection]] = {}
        self._forwarders: dict[bytes, list[Outbox]] = {}
        self._hearers: dict[bytes, set[bytes]] = {}
        self._watchers: set[Connection] = set()
        self._departures = 0
        """Keys that left since hearers were last looked through."""

    def connections(self) -> Iterator[Connection]:
        """Yield every registered connection, duplicates included."""
        for key, active in self._active.items():
            yield from self._twins.get(key, (active,))

    def watcher_count(self) -> int:
        """Return how many connections watch."""
        return len(self._watchers)

    def duplicate_keys(self) -> list[int]:
        """Return, for each key with several connections, how many."""
        return [len(twins) for twins in self._twins.values()]

    def key_counts(self) -> tuple[int, int]:
        """Return how many keys are connected here, and how many only behind mesh peers."""
        remote = sum(key not in self._active for key in self._forwarders)
        return len(self._active), remote

    def find(self, key: bytes) -> Connection | None:
        """Return the connection that packets for `key` go to, if it is on this server."""
        return self._active.get(key)

    def register(self, connection: Connection) -> None:
        """Add a connection; it becomes the active one of its key at once."""
        key = connection.key
        previous = self._active.get(key)
        if previous is not None:
            self.counters.dup_client_conns += 1
            twins = self._twins.setdefault(key, [previous])
            twins.append(connection)
            previous.has_twin = connection.has_twin = True
        connection.hearers = self._hearers.setdefault(key, set())
        self._active[key] = connection
        self._tell_watchers(connection.presence())

    def unregister(self, connection: Connection) -> None:
        """Remove a connection; if it was the last of its key, tell whoever cares."""
        key = connection.key
        connection.is_gone = True
        self._watchers.discard(connection)
        connection.outbox.discard(DropReason.GONE_DISCONNECTED)
        twins = self._twins.get(key)
        if twins is not None:
            self._remove_twin(connection, twins)
            return
        if self._active.get(key) is connection:
            del self._active[key]
            self._tell_watchers(encode(PeerGone(key)))
            self._note_departure(key)

    def _remove_twin(self, connection: Connection, twins: list[Connection]) -> None:
        if connection not in twins:
            return
        twins.remove(connection)
        if self._active[connection.key] is connection:
            self._active[connection.key] = twins[-1]
        if len(twins) == 1:
            twins[0].has_twin = False
            del self._twins[connection.key]

    def note_activity(self, connection: Connection) -> None:
        """Make a duplicate that just sent something the active one."""
        if connection.has_twin:
            self._active[connection.key] = connection

    def watch(self, watcher: Connection) -> None:
        """Tell a mesh peer of everybody here, now and from now on."""
        watcher.is_watcher = True
        self._watchers.add(watcher)
        for connection in self.connections():
            watcher.outbox.push_presence(connection.presence())

    def close_peer(self, key: bytes) -> int:
        """Close every connection of a key; return how many there were."""
        victims = [c for c in self.connections() if c.key == key]
        for victim in victims:
            victim.on_close(Fault.CLOSED_BY_MESH)
        return len(victims)

    def add_forwarder(self, key: bytes, link: Outbox) -> None:
        """Note that a mesh link leads to `key`. The link registered first is preferred."""
        links = self._forwarders.setdefault(key, [])
        if link in links:
            return
        links.append(link)
        if len(links) == 2:
            self.counters.multiforwarder_created += 1

    def remove_forwarder(self, key: bytes, link: Outbox) -> None:
        """Forget that a mesh link leads to `key`."""
        links = self._forwarders.get(key)
        if links is None or link not in links:
            return
        links.remove(link)
        if len(links) == 1:
            self.counters.multiforwarder_deleted += 1
        if not links:
            del self._forwarders[key]
            self._note_departure(key)

    def deliver(self, source: Connection, destination: bytes, packet: bytes, now: float) -> None:
        """Send one packet of a client to whoever holds `destination`, or drop it and count why."""
        kind = PacketKind.DISCO if is_disco(packet) else PacketKind.OTHER
        target = self._active.get(destination)
        if target is not None:
            source.hearers.add(destination)
            frame = pack_frame(FrameType.RECV_PACKET, source.key, packet)
            target.outbox.push_packet(frame, kind, now)
            return
        links = self._forwarders.get(destination)
        if links:
            self.counters.packets_forwarded_out += 1
            frame = pack_frame(FrameType.FORWARD_PACKET, source.key, destination, packet)
            links[0].push_packet(frame, kind, now)
            return
        self.counters.drop(DropReason.UNKNOWN_DEST, kind, len(packet))
        # Only path discovery is answered: a peer that moved should be looked for elsewhere.
        if kind is PacketKind.DISCO and source.not_here_budget.try_take(1, now):
            self._tell_gone(source, destination, PeerGoneReason.NOT_HERE)

    def deliver_forwarded(
        self, source_key: bytes, destination: bytes, packet: bytes, now: float
    ) -> None:
        """Send a packet that a mesh peer brought; it goes to a local client or nowhere."""
        self.counters.packets_forwarded_in += 1
        kind = PacketKind.DISCO if is_disco(packet) else PacketKind.OTHER
        target = self._active.get(destination)
        if target is None:
            self.counters.drop(DropReason.UNKNOWN_DEST_ON_FWD, kind, len(packet))
            return
        if source_key in self._forwarders:
            # Only who is known to be in the region can leave it, and be cleaned up after.
            self._hearers.setdefault(source_key, set()).add(destination)
        frame = pack_frame(FrameType.RECV_PACKET, source_key, packet)
        target.outbox.push_packet(frame, kind, now)

    def _note_departure(self, key: bytes) -> None:
        if key in self._active or key in self._forwarders:
            return
        self._departures += 1
        if self._departures > FEW_DEPARTURES + len(self._hearers):
            self._forget_departed_hearers()
        for hearer in self._hearers.pop(key, ()):
            connection = self._active.get(hearer)
            if connection is not None:
                self._tell_gone(connection, key, PeerGoneReason.DISCONNECTED)

    def _forget_departed_hearers(self) -> None:
        """Keep what is held for those who stay in proportion to who is here.

        Seldom enough to cost each departure next to nothing. A hearer that comes back in between
        is told of departures again once it is sent to.
        """
        self._departures = 0
        for hearers in self._hearers.values():
            hearers.intersection_update(self._active)

    def _tell_gone(self, connection: Connection, key: bytes, reason: PeerGoneReason) -> None:
        if reason is PeerGoneReason.NOT_HERE:
            self.counters.peer_gone_not_here_frames += 1
        else:
            self.counters.peer_gone_disconnected_frames += 1
        connection.outbox.push_signal(encode(PeerGone(key, reason)))

    def _tell_watchers(self, frame: bytes) -> None:
        for watcher in self._watchers:
            watcher.outbox.push_presence(frame)
