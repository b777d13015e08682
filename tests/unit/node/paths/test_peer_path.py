"""The path machine of one peer, step by step under an injected clock."""

from __future__ import annotations

from dataclasses import dataclass, field

from node.disco.messages import CallMeMaybe, Ping, Pong
from node.paths.news import (
    CallMeMaybeWanted,
    Outgoing,
    PathChanged,
    PathEvent,
    PathKind,
    PingAnswered,
    Route,
)
from node.paths.peer_path import PeerPath
from node.transport.endpoint import Endpoint
from tests.support.relay_pair import SeededEntropy

NODE = b"\x07" * 32
FAR = Endpoint.parse("198.51.100.9:41641")
NEAR = Endpoint.parse("192.168.1.9:41641")
NEW = Endpoint.parse("203.0.113.50:1024")


@dataclass
class Bench:
    """A path, its clock, and everything it said."""

    path: PeerPath = field(default_factory=lambda: PeerPath(NODE, SeededEntropy()))
    now: float = 100.0
    events: list[PathEvent] = field(default_factory=list)
    sent: list[Outgoing] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.path.set_candidates([FAR], self.now)

    def collect(self) -> list[Outgoing]:
        """Gather output; return the messages of this step."""
        while (event := self.path.next_event()) is not None:
            self.events.append(event)
        out = self.path.transmit()
        self.sent += out
        return out

    def send(self) -> Route:
        """Send a user packet."""
        return self.path.route(self.now)

    def pings(self, out: list[Outgoing]) -> dict[Endpoint | None, bytes]:
        """Return the transaction last asked at each address."""
        return {o.endpoint: o.message.transaction for o in out if isinstance(o.message, Ping)}

    def answer(
        self, endpoint: Endpoint, after: float = 0.02, source: Endpoint | None = None
    ) -> None:
        """Answer the last ping to an address."""
        transaction = self.pings(self.sent)[endpoint]
        self.now += after
        self.path.receive_pong(Pong(transaction, FAR), source or endpoint, self.now)
        self.collect()

    def go_direct(self) -> None:
        """Prove the far address."""
        self.send()
        self.collect()
        self.answer(FAR)

    def advance(self, seconds: float, *, sending: bool = True, step: float = 0.1) -> None:
        """Let time pass, with user traffic and the timer served."""
        for _ in range(round(seconds / step)):
            self.now += step
            due = self.path.deadline()
            if due is not None and due <= self.now:
                self.path.on_deadline(self.now)
            if sending:
                self.send()
            self.collect()


def test_first_packet_goes_by_relay_and_starts_discovery() -> None:
    bench = Bench()
    assert bench.send() == Route(None, by_relay=True)
    assert set(bench.pings(bench.collect())) == {FAR}
    assert bench.events == [CallMeMaybeWanted()]


def test_pong_makes_the_path_direct() -> None:
    bench = Bench()
    bench.go_direct()
    assert bench.send() == Route(FAR, by_relay=False)
    changed = [e for e in bench.events if isinstance(e, PathChanged)]
    assert changed == [PathChanged(PathKind.DIRECT, FAR, 20_000_000)]


def test_pong_nobody_asked_for_changes_nothing() -> None:
    bench = Bench()
    bench.path.receive_pong(Pong(b"x" * 12, FAR), FAR, bench.now)
    assert bench.path.best is None


def test_pong_counts_once() -> None:
    bench = Bench()
    bench.path.ping_now(bench.now)
    transaction = bench.pings(bench.collect())[FAR]
    for _ in range(2):
        bench.path.receive_pong(Pong(transaction, FAR), FAR, bench.now)
    bench.collect()
    assert bench.events.count(PingAnswered(FAR, 0)) == 1


def test_address_we_pinged_is_adopted_not_where_the_pong_came_from() -> None:
    bench = Bench()
    bench.send()
    bench.collect()
    bench.answer(FAR, source=NEW)
    assert bench.send().endpoint == FAR


def test_better_address_replaces_a_trusted_one_and_a_worse_does_not() -> None:
    bench = Bench()
    bench.path.set_candidates([FAR, NEAR], bench.now)
    bench.send()
    bench.collect()
    bench.answer(FAR, after=0.02)
    bench.answer(NEAR, after=0.001)
    assert bench.send().endpoint == NEAR


def test_silence_is_questioned_after_a_second_and_doubted_soon_after() -> None:
    bench = Bench()
    bench.go_direct()
    start = bench.now
    bench.advance(1.0)
    assert bench.send() == Route(FAR, by_relay=False)
    while not bench.send().by_relay:
        bench.advance(0.1)
    assert bench.now - start <= 2.0
    assert bench.send().endpoint == FAR


def test_answered_questions_keep_a_one_way_flow_direct() -> None:
    bench = Bench()
    bench.go_direct()
    for _ in range(20):
        bench.advance(1.0)
        bench.answer(FAR, after=0.02)
        assert not bench.send().by_relay
    asked = [o for o in bench.sent if isinstance(o.message, Ping)]
    assert len(asked) <= 40


def test_traffic_that_is_answered_needs_only_heartbeats() -> None:
    bench = Bench()
    bench.go_direct()
    bench.sent.clear()
    for tick in range(90):
        bench.advance(0.1)
        bench.path.note_heard(FAR, bench.now)
        if tick % 30 == 29:
            bench.answer(FAR)
    assert len(bench.pings(bench.sent)) == 1
    assert 2 <= len([o for o in bench.sent if isinstance(o.message, Ping)]) <= 4


def test_doubt_ends_when_packets_arrive_from_the_address_again() -> None:
    bench = Bench()
    bench.go_direct()
    bench.advance(1.9)
    assert bench.send().by_relay
    bench.path.note_heard(FAR, bench.now)
    assert not bench.send().by_relay


def test_silence_is_noticed_although_nothing_more_is_sent() -> None:
    bench = Bench()
    bench.go_direct()
    bench.send()
    bench.collect()
    bench.advance(1.4, sending=False)
    assert bench.path.kind(bench.now) is PathKind.DIRECT
    bench.advance(0.3, sending=False)
    assert bench.path.kind(bench.now) is PathKind.DOUBTED


def heard_from_far() -> Bench:
    bench = Bench()
    bench.go_direct()
    bench.path.note_heard(FAR, bench.now)
    bench.collect()
    return bench


def best(bench: Bench) -> Endpoint | None:
    return bench.path.best.endpoint if bench.path.best else None


def test_peer_whose_packets_come_from_elsewhere_is_followed_in_one_round_trip() -> None:
    bench = heard_from_far()
    bench.now += 1.0
    bench.path.note_heard(NEW, bench.now)
    assert list(bench.pings(bench.collect())) == [NEW]
    bench.answer(NEW, after=0.05)
    assert best(bench) == NEW
    assert bench.path.kind(bench.now) is PathKind.DIRECT


def test_peer_that_still_sends_from_the_old_address_is_not_followed() -> None:
    bench = heard_from_far()
    bench.path.note_heard(NEW, bench.now)
    bench.collect()
    bench.path.note_heard(FAR, bench.now + 0.01)
    bench.answer(NEW, after=0.05)
    assert best(bench) == FAR


def test_address_that_packets_come_from_is_asked_once_a_second() -> None:
    bench = heard_from_far()
    asked = 0
    for _ in range(30):
        bench.now += 0.1
        bench.path.note_heard(FAR, bench.now)
        bench.path.note_heard(NEW, bench.now)
        asked += len(bench.pings(bench.collect()))
    assert asked == 3


def test_packets_by_relay_are_nothing_to_follow() -> None:
    bench = heard_from_far()
    bench.path.note_heard(None, bench.now)
    assert bench.collect() == []


def test_dead_path_is_given_up_and_found_again_when_it_lives() -> None:
    bench = Bench()
    bench.go_direct()
    bench.advance(12)
    assert bench.send() == Route(None, by_relay=True)
    bench.sent.clear()
    bench.advance(6)
    bench.answer(FAR)
    assert bench.send() == Route(FAR, by_relay=False)


def test_candidates_are_pinged_no_more_than_every_five_seconds() -> None:
    bench = Bench()
    bench.advance(10.0)
    assert len([o for o in bench.sent if isinstance(o.message, Ping)]) <= 3


def test_heartbeats_stop_with_the_traffic() -> None:
    bench = Bench()
    bench.go_direct()
    bench.advance(60, sending=False)
    bench.sent.clear()
    bench.advance(60, sending=False)
    assert bench.sent == []
    assert bench.path.deadline() is None


def test_ping_is_answered_to_where_it_came_from() -> None:
    bench = Bench()
    bench.path.receive_ping(Ping(b"t" * 12, NODE), NEW, bench.now)
    first = bench.collect()[0]
    assert first == Outgoing(Pong(b"t" * 12, NEW), NEW)


def test_repeated_ping_is_answered_once() -> None:
    bench = Bench()
    for _ in range(3):
        bench.path.receive_ping(Ping(b"t" * 12, NODE), NEW, bench.now)
    assert sum(isinstance(o.message, Pong) for o in bench.collect()) == 1


def test_address_a_ping_came_from_is_tried_at_once() -> None:
    bench = Bench()
    bench.path.receive_ping(Ping(b"t" * 12, NODE), NEW, bench.now)
    assert NEW in bench.pings(bench.collect())
    bench.answer(NEW)
    assert bench.send() == Route(NEW, by_relay=False)


def test_two_sides_that_ping_each_other_do_so_once_a_second_at_most() -> None:
    bench = Bench()
    for number in range(30):
        bench.path.receive_ping(Ping(bytes((number,)) * 12, NODE), FAR, bench.now)
        bench.now += 0.1
    assert len([o for o in bench.collect() if isinstance(o.message, Ping)]) == 3


def test_ping_that_came_through_gets_our_early_one_repeated() -> None:
    bench = Bench()
    bench.path.receive_call_me_maybe(CallMeMaybe((NEW,)), bench.now)
    bench.collect()
    bench.path.receive_ping(Ping(b"1" * 12, NODE), NEW, bench.now + 0.01)
    assert NEW in bench.pings(bench.collect())


def test_proven_path_needs_no_ping_back() -> None:
    bench = Bench()
    bench.go_direct()
    bench.path.receive_ping(Ping(b"1" * 12, NODE), NEW, bench.now)
    assert not [o for o in bench.collect() if isinstance(o.message, Ping)]


def test_ping_by_relay_is_answered_by_the_same_region() -> None:
    bench = Bench()
    relay = Endpoint.parse("127.3.3.40:7")
    bench.path.receive_ping_by_relay(Ping(b"t" * 12), 7, relay)
    assert bench.collect() == [Outgoing(Pong(b"t" * 12, relay), None, 7)]


def test_call_me_maybe_pings_all_it_names_and_forgets_what_it_named_before() -> None:
    bench = Bench()
    bench.path.receive_call_me_maybe(CallMeMaybe((NEW,)), bench.now)
    assert set(bench.pings(bench.collect())) == {NEW}
    bench.now += 1
    bench.path.receive_call_me_maybe(CallMeMaybe((NEAR,)), bench.now)
    assert set(bench.path.candidates()) == {FAR, NEAR}
    assert CallMeMaybeWanted() not in bench.events


def test_flood_of_call_me_maybe_does_not_become_a_flood_of_pings() -> None:
    bench = Bench()
    for _ in range(50):
        bench.path.receive_call_me_maybe(CallMeMaybe((NEW, NEAR)), bench.now)
    assert len(bench.collect()) == 2


def test_call_me_maybe_is_followed_up_twice_while_nothing_answers() -> None:
    bench = Bench()
    bench.path.receive_call_me_maybe(CallMeMaybe((NEW,)), bench.now)
    bench.advance(4, sending=False)
    assert len([o for o in bench.sent if isinstance(o.message, Ping)]) == 3


def test_answered_call_me_maybe_is_not_followed_up() -> None:
    bench = Bench()
    bench.path.receive_call_me_maybe(CallMeMaybe((NEW,)), bench.now)
    bench.collect()
    bench.answer(NEW)
    bench.sent.clear()
    bench.advance(4, sending=False)
    assert bench.sent == []


def test_thousand_endpoints_are_cut_to_a_hundred() -> None:
    bench = Bench()
    crowd = tuple(Endpoint.parse(f"203.0.113.1:{port}") for port in range(1000, 2000))
    bench.path.receive_call_me_maybe(CallMeMaybe(crowd), bench.now)
    assert len(bench.collect()) == 100


def test_several_crowds_are_a_hundred_together_and_the_best_stays() -> None:
    bench = Bench()
    bench.go_direct()
    [best] = bench.path.candidates()
    bench.path.receive_ping(Ping(b"p" * 12), NEW, bench.now)
    for start in (1000, 2000):
        crowd = [Endpoint.parse(f"203.0.113.1:{port}") for port in range(start, start + 100)]
        bench.path.receive_call_me_maybe(CallMeMaybe(tuple(crowd)), bench.now)
        bench.path.set_candidates([best, *crowd], bench.now)
        bench.now += 1
        assert len(bench.path.candidates()) == 100
        assert best in bench.path.candidates()
    assert bench.send().endpoint == best


def test_addresses_that_cannot_be_meant_are_left_out() -> None:
    bench = Bench()
    odd = ["224.0.0.1:5", "0.0.0.0:5", "255.255.255.255:5", "[ff02::1]:5", "[fe80::1]:5"]
    bench.path.receive_call_me_maybe(CallMeMaybe(tuple(map(Endpoint.parse, odd))), bench.now)
    assert bench.collect() == []


def test_addresses_inside_our_own_tunnel_are_left_out() -> None:
    path = PeerPath(NODE, SeededEntropy(), is_allowed=lambda e: not str(e.ip).startswith("100.64."))
    path.set_candidates([FAR, Endpoint.parse("100.64.0.9:41641")], 0)
    assert path.candidates() == [FAR]


def test_network_change_starts_over() -> None:
    bench = Bench()
    bench.go_direct()
    bench.path.reset(bench.now)
    assert bench.send() == Route(None, by_relay=True)
    assert set(bench.pings(bench.collect())) == {FAR}


def test_withdrawn_address_is_not_used_any_more() -> None:
    bench = Bench()
    bench.go_direct()
    bench.path.set_candidates([NEAR], bench.now)
    assert bench.send().endpoint is None


def test_unreachable_address_is_dropped() -> None:
    bench = Bench()
    bench.go_direct()
    bench.path.note_unreachable(FAR, bench.now)
    assert bench.send() == Route(None, by_relay=True)


def test_slow_path_is_looked_at_again_each_minute_and_a_good_one_is_not() -> None:
    for latency, rounds in ((0.02, True), (0.001, False)):
        bench = Bench()
        bench.path.set_candidates([FAR, NEAR], bench.now)
        bench.send()
        bench.collect()
        bench.answer(FAR, after=latency)
        bench.sent.clear()
        for _ in range(230):
            bench.advance(0.3)
            bench.path.note_heard(FAR, bench.now)
            if FAR in bench.pings(bench.sent):
                bench.answer(FAR, after=latency)
        assert (NEAR in bench.pings(bench.sent)) is rounds


def test_user_ping_reports_each_way() -> None:
    bench = Bench()
    bench.path.ping_now(bench.now)
    asked = bench.pings(bench.collect())
    assert set(asked) == {FAR, None}
    relay_transaction = asked[None]
    bench.answer(FAR, after=0.02)
    bench.path.receive_pong(Pong(relay_transaction, FAR), None, bench.now + 0.01)
    bench.collect()
    assert PingAnswered(FAR, 20_000_000) in bench.events
    assert any(isinstance(e, PingAnswered) and e.endpoint is None for e in bench.events)
