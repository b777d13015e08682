"""Two nodes' path books, joined by a relay and by plain addresses in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from control.keys import DiscoPrivate, NodePrivate
from node.disco.errors import DiscoFault
from node.disco.messages import Birthday, BirthdayStep, CallMeMaybe, Ping
from node.disco.sealing import DiscoSealer
from node.paths.birthday_rounds import OwnNat
from node.paths.book import PathBook, PeerAddresses
from node.paths.news import (
    EndpointsWanted,
    PathChanged,
    PathKind,
    PathNews,
    PingAnswered,
    Route,
    SparesWanted,
    ToAddress,
    ToRelay,
)
from node.transport.endpoint import Endpoint
from tests.support.relay_pair import SeededEntropy

REGION = 7


@dataclass
class Node:
    """One node with an address of its own."""

    seed: int
    endpoint: Endpoint
    now: float = 100.0
    udp_works: bool = True
    events: list[object] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.entropy = SeededEntropy(self.seed)
        self.key = NodePrivate.generate(self.entropy).public.raw
        self.book = PathBook(DiscoPrivate.generate(self.entropy), self.key, self.entropy)

    def addresses(self, *, with_endpoints: bool) -> PeerAddresses:
        endpoints = (self.endpoint,) if with_endpoints else ()
        return PeerAddresses(self.key, self.book.disco_key, endpoints, REGION)


def introduce(a: Node, b: Node, *, with_endpoints: bool = True) -> None:
    a.book.set_peers([b.addresses(with_endpoints=with_endpoints)], a.now)
    b.book.set_peers([a.addresses(with_endpoints=with_endpoints)], b.now)


def carry(a: Node, b: Node) -> None:
    """Deliver packets both ways until nobody has more to say."""
    for _ in range(10):
        for sender, receiver in ((a, b), (b, a)):
            while (event := sender.book.next_event()) is not None:
                sender.events.append(event)
                if isinstance(event, EndpointsWanted):
                    sender.book.set_own_endpoints([sender.endpoint], sender.now)
            for packet in sender.book.transmit():
                match packet:
                    case ToRelay(data, node_key, region):
                        assert (node_key, region) == (receiver.key, REGION)
                        receiver.book.receive_relay(data, sender.key, region, receiver.now)
                    case ToAddress(data, endpoint):
                        if sender.udp_works and endpoint == receiver.endpoint:
                            receiver.book.receive_udp(data, sender.endpoint, receiver.now)


def pair(*, with_endpoints: bool = True) -> tuple[Node, Node]:
    a = Node(1, Endpoint.parse("198.51.100.1:1111"))
    b = Node(2, Endpoint.parse("198.51.100.2:2222"))
    introduce(a, b, with_endpoints=with_endpoints)
    return a, b


def candidates(node: Node, peer: bytes) -> list[Endpoint]:
    path = node.book.path(peer)
    assert path is not None
    return path.candidates()


def test_known_endpoints_become_a_direct_path() -> None:
    a, b = pair()
    assert a.book.route(b.key, a.now) == Route(None, by_relay=True)
    carry(a, b)
    assert a.book.route(b.key, a.now) == Route(b.endpoint, by_relay=False)
    assert any(
        isinstance(e, PathNews)
        and isinstance(e.event, PathChanged)
        and e.event.kind is PathKind.DIRECT
        for e in a.events
    )


def test_endpoints_only_we_know_are_told_by_relay() -> None:
    a, b = pair(with_endpoints=False)
    a.book.route(b.key, a.now)
    carry(a, b)
    assert a.book.route(b.key, a.now) == Route(b.endpoint, by_relay=False)
    assert b.book.route(a.key, b.now) == Route(a.endpoint, by_relay=False)


def test_stale_endpoints_are_refreshed_before_they_are_told() -> None:
    a, b = pair(with_endpoints=False)
    a.book.set_own_endpoints([Endpoint.parse("192.0.2.1:1")], a.now - 60)
    a.book.route(b.key, a.now)
    carry(a, b)
    assert a.events[0] == EndpointsWanted()
    assert candidates(b, a.key) == [a.endpoint]


def test_without_udp_the_relay_carries_on() -> None:
    a, b = pair()
    a.udp_works = b.udp_works = False
    a.book.route(b.key, a.now)
    carry(a, b)
    assert a.book.route(b.key, a.now) == Route(None, by_relay=True)


def test_strangers_disco_costs_nothing_and_is_counted() -> None:
    a, _ = pair()
    stranger = Node(9, Endpoint.parse("192.0.2.66:6666"))
    introduce_one_way = [a.addresses(with_endpoints=True)]
    stranger.book.set_peers(introduce_one_way, stranger.now)
    stranger.book.route(a.key, stranger.now)
    for packet in stranger.book.transmit():
        if isinstance(packet, ToAddress):
            a.book.receive_udp(packet.packet, stranger.endpoint, a.now)
    assert a.book.dropped[DiscoFault.UNKNOWN_SENDER] == 1
    assert a.book.transmit() == []


def forged_call(sender: Node, receiver: Node) -> bytes:
    private = DiscoPrivate.generate(SeededEntropy(99))
    sealer = DiscoSealer(private, SeededEntropy(98))
    sealer.set_peers([receiver.book.disco_key])
    receiver.book.set_peers(
        [PeerAddresses(sender.key, private.public.raw, (), REGION)], receiver.now
    )
    return sealer.seal(CallMeMaybe((Endpoint.parse("192.0.2.1:9"),)), receiver.book.disco_key)


def test_call_me_maybe_by_udp_is_ignored() -> None:
    a, b = pair()
    packet = forged_call(b, a)
    a.book.receive_udp(packet, b.endpoint, a.now)
    assert a.book.transmit() == []


def test_relay_must_vouch_for_the_node_whose_disco_key_it_is() -> None:
    a, b = pair()
    packet = forged_call(b, a)
    a.book.receive_relay(packet, b"\x55" * 32, REGION, a.now)
    assert a.book.transmit() == []
    a.book.receive_relay(packet, b.key, REGION, a.now)
    assert len(a.book.transmit()) == 1


def test_nodes_that_share_a_disco_key_are_told_apart_by_the_node_key_in_the_ping() -> None:
    a, b = pair()
    private = DiscoPrivate.generate(SeededEntropy(50))
    sealer = DiscoSealer(private, SeededEntropy(51))
    sealer.set_peers([a.book.disco_key])
    one, two = b"\x01" * 32, b"\x02" * 32
    shared = private.public.raw
    a.book.set_peers([PeerAddresses(key, shared, (), REGION) for key in (one, two)], a.now)
    a.book.receive_udp(sealer.seal(Ping(b"t" * 12, two), a.book.disco_key), b.endpoint, a.now)
    assert (candidates(a, one), candidates(a, two)) == ([], [b.endpoint])
    a.book.receive_udp(sealer.seal(Ping(b"u" * 12), a.book.disco_key), b.endpoint, a.now)
    assert a.book.dropped[DiscoFault.UNKNOWN_SENDER] == 1


def test_new_disco_key_of_a_peer_starts_its_path_over() -> None:
    a, b = pair()
    a.book.route(b.key, a.now)
    carry(a, b)
    fresh = PeerAddresses(b.key, b"\x42" * 32, (b.endpoint,), REGION)
    a.book.set_peers([fresh], a.now)
    assert a.book.route(b.key, a.now) == Route(None, by_relay=True)


def test_removed_peer_leaves_nothing_behind() -> None:
    a, b = pair()
    a.book.route(b.key, a.now)
    carry(a, b)
    a.book.set_peers([], a.now)
    assert a.book.route(b.key, a.now) is None
    assert a.book.deadline() is None


def test_peer_without_disco_stays_on_the_relay() -> None:
    a, b = pair()
    a.book.set_peers([PeerAddresses(b.key, bytes(32), (b.endpoint,), REGION)], a.now)
    assert a.book.route(b.key, a.now) == Route(None, by_relay=True)
    assert a.book.transmit() == []


def test_user_ping_is_answered_direct_and_by_relay() -> None:
    a, b = pair()
    assert a.book.ping(b.key, a.now)
    carry(a, b)
    answers = [
        e.event.endpoint
        for e in a.events
        if isinstance(e, PathNews) and isinstance(e.event, PingAnswered)
    ]
    assert set(answers) == {None, b.endpoint}


def invited(*, by_udp: bool) -> tuple[Node, Node]:
    """Return an easy node and a hard one that got its invitation to guess ports."""
    a, b = pair(with_endpoints=False)
    b.book.set_own_nat(OwnNat(b.endpoint, is_hard=True))
    sealer = DiscoSealer(DiscoPrivate.generate(a.entropy), a.entropy)
    sealer.set_peers([b.book.disco_key])
    about = PeerAddresses(a.key, sealer.public, (), REGION)
    b.book.set_peers([about], b.now)
    message = Birthday(BirthdayStep.INVITE, b"12345678", a.endpoint)
    packet = sealer.seal(message, b.book.disco_key)
    if by_udp:
        b.book.receive_udp(packet, a.endpoint, b.now)
    else:
        b.book.receive_relay(packet, a.key, REGION, b.now)
    return a, b


def test_invitation_opens_spare_sockets_towards_the_inviting_side() -> None:
    a, b = invited(by_udp=False)
    wanted, *pings = b.book.transmit()
    assert isinstance(wanted, SparesWanted)
    assert [(p.endpoint, p.spare) for p in pings if isinstance(p, ToAddress)] == [
        (a.endpoint, wanted.opening.start)
    ]
    due = b.book.deadline()
    assert due is not None
    b.book.on_deadline(due)
    assert len(b.book.transmit()) == 1
    # The peer leaves: its sockets go with it.
    b.book.set_peers([], due)
    assert b.book.transmit() == [SparesWanted(range(0), {})]


def test_invitation_by_udp_is_ignored() -> None:
    _, b = invited(by_udp=True)
    assert b.book.transmit() == []
    assert b.book.deadline() is None


def test_lasting_relay_invites_and_a_guessed_port_becomes_the_path() -> None:
    a, b = pair(with_endpoints=False)
    a.udp_works = b.udp_works = False
    a.book.set_own_nat(OwnNat(a.endpoint, is_hard=False))
    b.book.set_own_nat(OwnNat(b.endpoint, is_hard=True))
    guesses: list[ToAddress] = []
    spares: list[ToAddress] = []
    while not guesses:
        assert a.now < 130.0
        a.now = b.now = a.now + 0.05
        a.book.route(b.key, a.now)
        for node, other in ((a, b), (b, a)):
            due = node.book.deadline()
            if due is not None and due <= node.now:
                node.book.on_deadline(node.now)
            for packet in node.book.transmit():
                match packet:
                    case ToRelay(data):
                        other.book.receive_relay(data, node.key, REGION, node.now)
                    case ToAddress(_, _, spare) if spare:
                        spares.append(packet)
                    case ToAddress(_, endpoint) if endpoint.port != b.endpoint.port:
                        guesses.append(packet)
    # Say the first guess is the port that the hard NAT gave to the tenth socket.
    hole, tenth = guesses[0].endpoint, spares[9]
    b.book.receive_udp(guesses[0].packet, a.endpoint, b.now, tenth.spare)
    wanted, pong, ping = b.book.transmit()
    assert wanted == SparesWanted(range(0), {a.endpoint: tenth.spare})
    assert isinstance(pong, ToAddress)
    assert isinstance(ping, ToAddress)
    a.book.receive_udp(pong.packet, hole, a.now)
    a.book.receive_udp(ping.packet, hole, a.now)
    assert a.book.route(b.key, a.now) == Route(hole, by_relay=False)
    for answer in a.book.transmit():
        if isinstance(answer, ToAddress) and answer.endpoint == hole:
            b.book.receive_udp(answer.packet, a.endpoint, b.now, tenth.spare)
    assert b.book.route(a.key, b.now) == Route(a.endpoint, by_relay=False)
