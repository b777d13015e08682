"""Two devices and the wire between them: what crosses it, and when."""

from __future__ import annotations

import ipaddress

import pytest

from node.transport.endpoint import Endpoint
from node.wireguard.constants import (
    HANDSHAKE_QUEUE,
    MAX_HANDSHAKE_ATTEMPTS,
    STAGED_PACKETS,
    UNDER_LOAD_QUEUE,
)
from node.wireguard.events import Datagram, Drop, HandshakeAbandoned, PeerRoamed
from node.wireguard.keys import SecretKey
from tests.support.wireguard_pair import Pair, Side, ipv4_packet, kind_of


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_first_packet_shakes_hands_and_arrives(pair: Pair) -> None:
    packet = pair.send(pair.a)
    assert pair.b.packets == [packet]
    assert pair.kinds() == [("a", "initiation"), ("b", "response"), ("a", "transport")]


def test_either_side_may_begin(pair: Pair) -> None:
    packet = pair.send(pair.b)
    assert pair.a.packets == [packet]
    assert pair.kinds()[0] == ("b", "initiation")


def test_without_a_preshared_key_the_handshake_works() -> None:
    pair = Pair(preshared=False)
    packet = pair.send(pair.a)
    assert pair.b.packets == [packet]


def test_another_preshared_key_yields_no_session(pair: Pair) -> None:
    pair.peer_of_b.preshared = SecretKey(bytes(range(32)))
    pair.send(pair.a)
    assert pair.b.packets == []
    assert pair.a.device.drops[Drop.HANDSHAKE_INVALID] == 1


def test_responder_waits_for_the_initiator_before_it_sends(pair: Pair) -> None:
    pair.deliver = lambda side, datagram: (
        (side.name, kind_of(datagram.data))
        in {
            ("a", "initiation"),
            ("b", "response"),
        }
    )
    pair.send(pair.a)
    pair.send(pair.b)
    assert ("b", "transport") not in pair.kinds()


def test_initiator_confirms_at_once_without_data(pair: Pair) -> None:
    pair.a.device.set_persistent_keepalive(pair.peer_of_a, 25, pair.clock.now)
    pair.settle()
    assert pair.kinds() == [("a", "initiation"), ("b", "response"), ("a", "keepalive")]


def test_staged_packets_arrive_in_order_and_the_oldest_give_way(pair: Pair) -> None:
    pair.deliver = lambda *_: False
    packets = [
        ipv4_packet(pair.a.inner, pair.b.inner, bytes([n])) for n in range(STAGED_PACKETS + 10)
    ]
    for packet in packets:
        pair.send(pair.a, packet)
    pair.deliver = lambda *_: True
    pair.advance(6)
    assert pair.b.packets == packets[10:]
    assert pair.a.device.drops[Drop.STAGE_FULL] == 10


def test_simultaneous_initiations_converge(pair: Pair) -> None:
    now = pair.clock.now
    pair.a.device.send(pair.peer_of_a, ipv4_packet(pair.a.inner, pair.b.inner), now)
    pair.b.device.send(pair.peer_of_b, ipv4_packet(pair.b.inner, pair.a.inner), now)
    pair.settle()
    pair.advance(1)
    one, two = pair.send(pair.a), pair.send(pair.b)
    assert one in pair.b.packets
    assert two in pair.a.packets


def test_retries_every_five_seconds_and_then_gives_up(pair: Pair) -> None:
    pair.deliver = lambda *_: False
    pair.send(pair.a)
    pair.advance(200)
    initiations = [kind for kind in pair.kinds() if kind == ("a", "initiation")]
    assert len(initiations) == MAX_HANDSHAKE_ATTEMPTS + 1
    assert HandshakeAbandoned(pair.b.private.public()) in pair.a.events
    assert not pair.peer_of_a.staged


def test_user_data_after_giving_up_starts_again(pair: Pair) -> None:
    pair.deliver = lambda *_: False
    pair.send(pair.a)
    pair.advance(200)
    pair.deliver = lambda *_: True
    packet = pair.send(pair.a)
    assert pair.b.packets == [packet]


def test_received_data_is_answered_by_one_keepalive(pair: Pair) -> None:
    pair.send(pair.a)
    pair.wire.clear()
    pair.advance(60)
    assert pair.kinds() == [("b", "keepalive")]


def test_silence_after_data_starts_a_handshake(pair: Pair) -> None:
    pair.send(pair.a)
    pair.advance(60)
    pair.wire.clear()
    pair.deliver = lambda *_: False
    pair.send(pair.a)
    pair.advance(14.9)
    assert ("a", "initiation") not in pair.kinds()
    pair.advance(0.6)
    assert ("a", "initiation") in pair.kinds()


@pytest.mark.parametrize("sender", ["a", "b"])
def test_only_the_initiator_renews_by_time(pair: Pair, sender: str) -> None:
    pair.send(pair.a)
    pair.advance(121)
    pair.wire.clear()
    pair.send(pair.a if sender == "a" else pair.b)
    assert (("a", "initiation") in pair.kinds()) is (sender == "a")
    assert ("b", "initiation") not in pair.kinds()


def test_initiator_renews_before_expiry_when_it_only_receives(pair: Pair) -> None:
    pair.send(pair.a)
    pair.advance(166)
    pair.wire.clear()
    pair.send(pair.b)
    pair.send(pair.b)
    assert pair.kinds().count(("a", "initiation")) == 1


def test_expired_session_neither_sends_nor_accepts(pair: Pair) -> None:
    pair.send(pair.a)
    pair.deliver = lambda _, datagram: kind_of(datagram.data) == "transport"
    stale = pair.peer_of_a.current
    assert stale is not None
    pair.clock.now += 181
    message = stale.seal(ipv4_packet(pair.a.inner, pair.b.inner), 1420)
    pair.b.device.receive(message, pair.a.endpoint, pair.clock.now)
    assert pair.b.device.drops[Drop.SESSION_EXPIRED] == 1
    before = len(pair.wire)
    pair.send(pair.a)
    assert [kind for name, kind in pair.kinds()[before:] if name == "a"] == ["initiation"]


def test_keys_are_forgotten_after_nine_minutes(pair: Pair) -> None:
    pair.send(pair.a)
    pair.deliver = lambda *_: False
    pair.advance(541)
    assert pair.a.device.sessions == {}
    assert pair.b.device.sessions == {}


def test_old_session_still_receives_during_a_rekey(pair: Pair) -> None:
    pair.send(pair.a)
    old = pair.peer_of_b.current
    assert old is not None
    pair.advance(121)
    late = old.seal(ipv4_packet(pair.b.inner, pair.a.inner, b"late"), 1420)
    pair.send(pair.a)
    pair.a.device.receive(late, pair.b.endpoint, pair.clock.now)
    pair.settle()
    assert pair.a.packets[-1].endswith(b"late")


def test_persistent_keepalive_comes_at_its_interval(pair: Pair) -> None:
    pair.a.device.set_persistent_keepalive(pair.peer_of_a, 25, pair.clock.now)
    pair.settle()
    pair.wire.clear()
    pair.advance(101)
    assert pair.kinds().count(("a", "keepalive")) == 4


def test_peer_is_followed_to_a_new_address(pair: Pair) -> None:
    pair.send(pair.a)
    pair.a.endpoint = Endpoint.parse("198.51.100.9:9999")
    pair.send(pair.a)
    assert pair.peer_of_b.path == pair.a.endpoint
    assert PeerRoamed(pair.a.private.public(), pair.a.endpoint) in pair.b.events
    packet = pair.send(pair.b)
    assert packet in pair.a.packets


def test_forged_datagram_does_not_move_the_peer(pair: Pair) -> None:
    pair.send(pair.a)
    session = pair.peer_of_a.current
    assert session is not None
    forged = bytearray(session.seal(ipv4_packet(pair.a.inner, pair.b.inner), 1420))
    forged[-1] ^= 1
    pair.b.device.receive(bytes(forged), Endpoint.parse("203.0.113.5:5"), pair.clock.now)
    assert pair.peer_of_b.path == pair.a.endpoint
    assert pair.b.device.drops[Drop.TAG_OR_REPLAY] == 1


def test_roaming_can_be_turned_off(pair: Pair) -> None:
    pair.send(pair.a)
    pair.b.device._roams = False
    old = pair.a.endpoint
    pair.a.endpoint = Endpoint.parse("198.51.100.9:9999")
    pair.send(pair.a)
    assert pair.peer_of_b.path == old


def test_spoofed_inner_source_is_dropped(pair: Pair) -> None:
    spoofed = ipv4_packet(ipaddress.ip_address("10.0.0.77"), pair.b.inner)
    pair.send(pair.a, spoofed)
    assert pair.b.packets == []
    assert pair.b.device.drops[Drop.INNER_SOURCE] == 1


def test_replayed_transport_is_dropped(pair: Pair) -> None:
    pair.send(pair.a)
    _, datagram = pair.wire[-1]
    pair.b.device.receive(datagram.data, pair.a.endpoint, pair.clock.now)
    assert len(pair.b.packets) == 1
    assert pair.b.device.drops[Drop.TAG_OR_REPLAY] == 1


def test_restarted_peer_is_reached_again(pair: Pair) -> None:
    pair.send(pair.a)
    pair.advance(1)
    pair.b.device = pair.b.new_device()
    pair.peer_of_b = pair.b.knows(pair.a, pair.preshared)
    packet = pair.send(pair.b)
    assert packet in pair.a.packets
    packet = pair.send(pair.a)
    assert packet in pair.b.packets


def test_wall_clock_stepping_back_does_not_lock_the_peer_out(pair: Pair) -> None:
    pair.send(pair.a)
    pair.clock.wall_offset_ns = -3600 * 10**9
    pair.advance(121)
    pair.wire.clear()
    pair.send(pair.a)
    assert ("b", "response") in pair.kinds()


def flood(pair: Pair, victim: Side, count: int) -> None:
    """Send initiations with a valid MAC1 from a stranger who knows the public key."""
    stranger = Side("stranger", "203.0.113.66:6666", "10.0.0.66", pair.clock)
    peer = stranger.knows(victim, None)
    for _ in range(count):
        peer.last_initiation_sent_at = float("-inf")
        stranger.device.send(peer, b"", pair.clock.now)
        for datagram in stranger.device.transmit():
            victim.device.receive(datagram.data, stranger.endpoint, pair.clock.now)


def test_under_load_a_peer_must_show_a_cookie(pair: Pair) -> None:
    flood(pair, pair.b, UNDER_LOAD_QUEUE)
    pair.send(pair.a)
    assert ("b", "cookie_reply") in pair.kinds()
    assert ("b", "response") not in pair.kinds()
    pair.wire.clear()
    pair.b.device._negotiator.admission.under_load_until = float("inf")
    pair.advance(6)
    assert pair.kinds()[:2] == [("a", "initiation"), ("b", "response")]


def test_cookie_reply_does_not_cause_an_instant_retry(pair: Pair) -> None:
    flood(pair, pair.b, UNDER_LOAD_QUEUE)
    pair.send(pair.a)
    assert pair.kinds().count(("a", "initiation")) == 1


def test_handshake_queue_is_bounded(pair: Pair) -> None:
    flood(pair, pair.b, HANDSHAKE_QUEUE + 50)
    assert pair.b.device.drops[Drop.HANDSHAKE_QUEUE_FULL] == 50


def test_unknown_static_key_gets_no_answer(pair: Pair) -> None:
    flood(pair, pair.b, 3)
    pair.settle()
    assert pair.wire == []
    assert pair.b.device.drops[Drop.UNKNOWN_PEER] == 3


def test_removed_peer_is_a_stranger(pair: Pair) -> None:
    pair.send(pair.a)
    pair.b.device.remove_peer(pair.a.private.public())
    pair.send(pair.a)
    assert len(pair.b.packets) == 1
    assert pair.b.device.drops[Drop.UNKNOWN_INDEX] == 1
    assert pair.b.device.allowed_ips.lookup(pair.a.inner.packed) is None


def test_wipe_forgets_everything(pair: Pair) -> None:
    pair.send(pair.a)
    pair.a.device.wipe()
    assert pair.a.device.sessions == {}
    assert pair.a.device.peers == {}


def test_no_secret_in_any_repr(pair: Pair) -> None:
    pair.send(pair.a)
    session = pair.peer_of_a.current
    text = repr((pair.a.private, session, Datagram(b"", pair.a.endpoint), pair.preshared))
    assert "redacted" in text
    assert pair.a.private.reveal_text() not in text


def test_lengths_on_the_wire_are_whole_sixteens(pair: Pair) -> None:
    for size in range(40):
        pair.send(pair.a, ipv4_packet(pair.a.inner, pair.b.inner, bytes(size)))
    lengths = {len(d.data) for s, d in pair.wire if kind_of(d.data) == "transport"}
    assert all(length % 16 == 0 for length in lengths)


def test_padding_stays_within_the_mtu(pair: Pair) -> None:
    pair.send(pair.a, ipv4_packet(pair.a.inner, pair.b.inner, bytes(1400)))
    assert len(pair.wire[-1][1].data) == 1420 + 32
