"""All peers' paths behind one door: opens disco packets, checks who may say what, seals answers.

The driver hands in datagrams and time; `transmit` gives sealed packets for addresses and relays.
Who a message is from is never taken from the message alone (relay reference 3.3): the disco key
must belong to a peer of the netmap, before any arithmetic, and a relay's word for the node key
must agree with it.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Final

from node.disco.errors import DiscoError, DiscoFault
from node.disco.messages import Birthday, CallMeMaybe, Message, Ping, Pong
from node.disco.sealing import DiscoSealer
from node.paths.birthday_rounds import BirthdayRounds, OwnNat
from node.paths.news import (
    BookEvent,
    CallMeMaybeWanted,
    EndpointsWanted,
    Outgoing,
    PathChanged,
    PathKind,
    PathNews,
    Route,
    SparesWanted,
    ToAddress,
    ToRelay,
)
from node.paths.peer_path import PeerPath
from node.paths.timing import ENDPOINTS_FRESH_S
from node.transport.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from control.keys import DiscoPrivate, Entropy

__all__ = ["PathBook", "PeerAddresses", "relay_pseudo_address"]

_RELAY_PSEUDO_IP: Final = IPv4Address("127.3.3.40")


def relay_pseudo_address(region: int) -> Endpoint:
    """Return the name of a relay region where an address is expected; never a destination."""
    return Endpoint(_RELAY_PSEUDO_IP, region & 0xFFFF)


@dataclass(frozen=True, slots=True)
class PeerAddresses:
    """What the netmap says about reaching one peer. Keys are 32 raw bytes."""

    node_key: bytes
    disco_key: bytes
    """All zero for a peer without disco: it stays on its relay."""
    endpoints: tuple[Endpoint, ...]
    home_region: int


@dataclass(slots=True)
class _Peer:
    addresses: PeerAddresses
    path: PeerPath


class PathBook:
    """The paths to all peers of one node."""

    def __init__(
        self,
        disco_private: DiscoPrivate,
        node_key: bytes,
        entropy: Entropy,
        is_allowed: Callable[[Endpoint], bool] = lambda _endpoint: True,
    ) -> None:
        self._sealer = DiscoSealer(disco_private, entropy)
        self._node_key = node_key
        self._entropy = entropy
        self._is_allowed = is_allowed
        self._peers: dict[bytes, _Peer] = {}
        self._by_disco: dict[bytes, list[bytes]] = {}
        self._rounds = BirthdayRounds(node_key, entropy, is_allowed)
        self._ticking: set[bytes] = set()
        self._own: tuple[Endpoint, ...] = ()
        self._own_at: float | None = None
        self._calls_waiting: set[bytes] = set()
        self._out: list[ToAddress | ToRelay | SparesWanted] = []
        self._events: deque[BookEvent] = deque()
        self.dropped: Counter[DiscoFault] = Counter()
        """Disco packets that said nothing to us, by reason."""

    @property
    def disco_key(self) -> bytes:
        """Our public disco key, which control tells our peers."""
        return self._sealer.public

    def path(self, node_key: bytes) -> PeerPath | None:
        """Return the machine of one peer, for `status`."""
        peer = self._peers.get(node_key)
        return peer.path if peer else None

    def next_event(self) -> BookEvent | None:
        """Return what happened next, None when nothing did."""
        return self._events.popleft() if self._events else None

    def transmit(self) -> list[ToAddress | ToRelay | SparesWanted]:
        """Return the packets to send now, and what to do with spare sockets, in order."""
        out, self._out = self._out, []
        return out

    def deadline(self) -> float | None:
        """Return when `on_deadline` has something to do."""
        due = [self._peers[key].path.deadline() for key in self._ticking]
        due.append(self._rounds.deadline())
        return min((at for at in due if at is not None), default=None)

    def on_deadline(self, now: float) -> None:
        """Serve the timers that are due."""
        for key in list(self._ticking):
            path = self._peers[key].path
            due = path.deadline()
            if due is not None and due <= now:
                path.on_deadline(now)
            self._settle(key, now)
        due = self._rounds.deadline()
        if due is not None and due <= now:
            self._rounds.on_deadline(now)
            self._settle_rounds()

    # What changes.

    def set_peers(self, peers: Iterable[PeerAddresses], now: float) -> None:
        """Take the netmap's peers; paths of those that stay are kept."""
        wanted = {peer.node_key: peer for peer in peers}
        for key in self._peers.keys() - wanted.keys():
            self._forget(key)
        for key, addresses in wanted.items():
            self._update(key, addresses, now)
        by_disco: dict[bytes, list[bytes]] = defaultdict(list)
        for key, addresses in wanted.items():
            by_disco[addresses.disco_key].append(key)
        self._by_disco = dict(by_disco)
        self._sealer.set_peers(self._by_disco)
        self._settle_rounds()

    def set_own_nat(self, nat: OwnNat | None) -> None:
        """Take what STUN says of our NAT, which decides our part in guessing ports; None: none."""
        self._rounds.set_own_nat(nat)

    def set_own_endpoints(self, endpoints: Iterable[Endpoint], now: float) -> None:
        """Take our own endpoints, fresh from STUN; whoever waited for them is told now."""
        self._own = tuple(endpoints)
        self._own_at = now
        waiting, self._calls_waiting = self._calls_waiting, set()
        for key in waiting & self._peers.keys():
            self._call(self._peers[key])

    def reset(self, now: float) -> None:
        """Start over with every peer: our own network changed."""
        self._own_at = None
        self._rounds.reset()
        self._settle_rounds()
        for key, peer in self._peers.items():
            peer.path.reset(now)
            self._settle(key, now)

    # What is sent and heard.

    def route(self, node_key: bytes, now: float) -> Route | None:
        """Say where packets for a peer go now; None for a peer that is not in the netmap."""
        peer = self._peers.get(node_key)
        if peer is None:
            return None
        route = peer.path.route(now)
        if route.endpoint is None:
            self._rounds.note_relayed(node_key, now)
            self._settle_rounds()
        self._settle(node_key, now)
        return route

    def ping(self, node_key: bytes, now: float) -> bool:
        """Ping a peer every way for a user; answers come as PingAnswered. False: no such peer."""
        peer = self._peers.get(node_key)
        if peer is None:
            return False
        peer.path.ping_now(now)
        self._settle(node_key, now)
        return True

    def note_heard(self, node_key: bytes, endpoint: Endpoint | None, now: float) -> None:
        """Note an authenticated WireGuard packet, from an address or by relay (None)."""
        peer = self._peers.get(node_key)
        if peer is not None:
            peer.path.note_heard(endpoint, now)
            self._settle(node_key, now)

    def note_unreachable(self, node_key: bytes, endpoint: Endpoint, now: float) -> None:
        """Note that the kernel knows no way to an address."""
        peer = self._peers.get(node_key)
        if peer is not None:
            peer.path.note_unreachable(endpoint, now)
            self._settle(node_key, now)

    def receive_udp(self, packet: bytes, source: Endpoint, now: float, spare: int = 0) -> None:
        """Take a disco packet from the UDP socket, or from a spare one by its number."""
        opened = self._open(packet)
        if opened is None:
            return
        sender, message = opened
        key = self._node_behind(sender, message)
        if key is None:
            self.dropped[DiscoFault.UNKNOWN_SENDER] += 1
            return
        path = self._peers[key].path
        match message:
            case Ping():
                if not spare or self._rounds.take_ping(key, spare, source, now):
                    self._settle_rounds()
                    path.receive_ping(message, source, now)
            case Pong():
                self._receive_pong(sender, message, source, now)
            case _:
                # Call-me-maybe by UDP could come from anywhere; the rest is for peer relays.
                return
        self._settle(key, now)

    def receive_relay(self, packet: bytes, node_key: bytes, region: int, now: float) -> None:
        """Take a disco packet that a relay brought, with the node key the relay vouches for."""
        opened = self._open(packet)
        if opened is None:
            return
        sender, message = opened
        peer = self._peers.get(node_key)
        if peer is None or peer.addresses.disco_key != sender:
            self.dropped[DiscoFault.UNKNOWN_SENDER] += 1
            return
        match message:
            case Ping():
                address = relay_pseudo_address(region)
                peer.path.receive_ping_by_relay(message, region, address)
            case Pong():
                peer.path.receive_pong(message, None, now)
            case CallMeMaybe():
                peer.path.receive_call_me_maybe(message, now)
            case Birthday():
                is_relayed = peer.path.kind(now) is PathKind.RELAYED
                self._rounds.receive(node_key, message, is_relayed=is_relayed, now=now)
                self._settle_rounds()
            case _:
                return
        self._settle(node_key, now)

    def _open(self, packet: bytes) -> tuple[bytes, Message] | None:
        try:
            return self._sealer.open(packet)
        except DiscoError as error:
            self.dropped[error.fault] += 1
            return None

    def _node_behind(self, disco_key: bytes, message: Message) -> bytes | None:
        """Return the node that speaks with a disco key; several nodes may share one."""
        nodes = self._by_disco.get(disco_key, [])
        if isinstance(message, Ping) and message.node_key in nodes:
            return message.node_key
        return nodes[0] if len(nodes) == 1 or (nodes and isinstance(message, Pong)) else None

    def _receive_pong(self, disco_key: bytes, message: Pong, source: Endpoint, now: float) -> None:
        # A transaction is 96 random bits: only the node that was asked knows it.
        for key in self._by_disco.get(disco_key, []):
            path = self._peers[key].path
            guess = self._rounds.answered(key, message.transaction)
            if guess is not None:
                path.receive_guessed(message, guess, source, now)
            else:
                path.receive_pong(message, source, now)
            self._settle(key, now)

    # How it leaves.

    def _settle(self, node_key: bytes, now: float) -> None:
        """Collect what a path wants said and reported, and whether it needs the timer."""
        peer = self._peers[node_key]
        for outgoing in peer.path.transmit():
            self._seal(peer, outgoing)
        while (event := peer.path.next_event()) is not None:
            match event:
                case CallMeMaybeWanted():
                    self._call_when_fresh(peer, now)
                case _:
                    if isinstance(event, PathChanged):
                        self._rounds.note_path(node_key, event)
                        self._settle_rounds()
                    self._events.append(PathNews(node_key, event))
        if peer.path.deadline() is None:
            self._ticking.discard(node_key)
        else:
            self._ticking.add(node_key)

    def _settle_rounds(self) -> None:
        """Collect what rounds of port guessing want sent, after which sockets they want."""
        wanted = self._rounds.spares_wanted()
        if wanted is not None:
            self._out.append(wanted)
        for key, outgoing in self._rounds.transmit():
            self._seal(self._peers[key], outgoing)

    def _seal(self, peer: _Peer, outgoing: Outgoing) -> None:
        addresses = peer.addresses
        if not self._sealer.knows(addresses.disco_key):
            return
        packet = self._sealer.seal(outgoing.message, addresses.disco_key)
        if outgoing.endpoint is not None:
            self._out.append(ToAddress(packet, outgoing.endpoint, outgoing.spare))
            return
        region = outgoing.relay_region or addresses.home_region
        if region:
            self._out.append(ToRelay(packet, addresses.node_key, region))

    def _call_when_fresh(self, peer: _Peer, now: float) -> None:
        if self._own_at is not None and now - self._own_at <= ENDPOINTS_FRESH_S:
            self._call(peer)
            return
        if not self._calls_waiting:
            self._events.append(EndpointsWanted())
        self._calls_waiting.add(peer.addresses.node_key)

    def _call(self, peer: _Peer) -> None:
        # An empty list would only make the peer forget what we told it before.
        if self._own:
            self._seal(peer, Outgoing(CallMeMaybe(self._own), None))

    def _update(self, key: bytes, addresses: PeerAddresses, now: float) -> None:
        peer = self._peers.get(key)
        if peer is None:
            path = PeerPath(self._node_key, self._entropy, self._is_allowed)
            peer = self._peers[key] = _Peer(addresses, path)
        elif peer.addresses.disco_key != addresses.disco_key:
            # The peer started anew: what its former self proved says nothing.
            peer.path.reset(now)
            self._rounds.forget(key)
        peer.addresses = addresses
        peer.path.set_candidates(addresses.endpoints, now)
        self._settle(key, now)

    def _forget(self, key: bytes) -> None:
        del self._peers[key]
        self._ticking.discard(key)
        self._calls_waiting.discard(key)
        self._rounds.forget(key)
