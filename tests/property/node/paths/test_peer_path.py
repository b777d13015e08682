"""Whatever happens, packets leave the relay only for an address that just answered us."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from node.disco.messages import CallMeMaybe, Ping, Pong
from node.paths.peer_path import PeerPath
from node.paths.timing import MAX_CANDIDATES, TRUST_S
from node.transport.endpoint import Endpoint
from tests.support.relay_pair import SeededEntropy

PLACES = [Endpoint.parse(f"198.51.100.{n}:4164{n}") for n in range(1, 6)]
places = st.sampled_from(PLACES)


class AnyWeather(RuleBasedStateMachine):
    """Random messages, losses, forgeries and clock steps around one path machine."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 50.0
        self.path = PeerPath(b"\x01" * 32, SeededEntropy())
        self.open: dict[bytes, Endpoint | None] = {}
        self.answered: dict[Endpoint, float] = {}
        self.pings = 0
        self.started = self.now

    def collect(self) -> None:
        for outgoing in self.path.transmit():
            if isinstance(outgoing.message, Ping):
                self.pings += 1
                self.open[outgoing.message.transaction] = outgoing.endpoint
        while self.path.next_event() is not None:
            pass

    @rule(found=st.lists(places, max_size=4))
    def netmap(self, found: list[Endpoint]) -> None:
        self.path.set_candidates(found, self.now)

    @rule(found=st.lists(places, max_size=4))
    def call(self, found: list[Endpoint]) -> None:
        self.path.receive_call_me_maybe(CallMeMaybe(tuple(found)), self.now)
        self.collect()

    @rule(source=places, transaction=st.binary(min_size=12, max_size=12))
    def pinged(self, source: Endpoint, transaction: bytes) -> None:
        self.path.receive_ping(Ping(transaction), source, self.now)
        self.collect()

    @rule(index=st.integers(0), source=places)
    def pong(self, index: int, source: Endpoint) -> None:
        if self.open:
            transaction = list(self.open)[index % len(self.open)]
            pinged = self.open.pop(transaction)
            if pinged is not None:
                self.answered[pinged] = self.now
            self.path.receive_pong(Pong(transaction, source), source, self.now)
            self.collect()

    @rule(source=places, transaction=st.binary(min_size=12, max_size=12))
    def forged_pong(self, source: Endpoint, transaction: bytes) -> None:
        self.path.receive_pong(Pong(transaction, source), source, self.now)

    @rule(source=places)
    def heard(self, source: Endpoint) -> None:
        self.path.note_heard(source, self.now)

    @rule(seconds=st.floats(0.01, 8))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        due = self.path.deadline()
        if due is not None and due <= self.now:
            self.path.on_deadline(self.now)
            self.collect()

    @rule()
    def network_change(self) -> None:
        self.path.reset(self.now)
        self.answered.clear()

    @rule()
    def send(self) -> None:
        route = self.path.route(self.now)
        self.collect()
        assert route.by_relay or route.endpoint is not None
        if not route.by_relay:
            assert route.endpoint is not None
            assert self.now - self.answered[route.endpoint] <= TRUST_S

    @invariant()
    def memory_is_bounded(self) -> None:
        assert len(self.path.candidates()) <= MAX_CANDIDATES
        assert len(self.path._questions) <= self.pings

    @invariant()
    def a_due_timer_is_not_left_in_the_past(self) -> None:
        due = self.path.deadline()
        if due is not None and due <= self.now:
            self.path.on_deadline(self.now)
            self.collect()
            after = self.path.deadline()
            assert after is None or after > self.now


TestAnyWeather = AnyWeather.TestCase
TestAnyWeather.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
