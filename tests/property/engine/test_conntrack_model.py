"""The flow table against a model that keeps every flow's history and derives the rest from it."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.conntrack import ConnTrack, FlowState, Timeouts
from engine.evaluate import Flow, FlowKey, Reason, Verdict

CAPACITY = 5
TIMES = Timeouts(
    opening_s=4,
    tcp_s=30,
    tcp_closing_s=7,
    tcp_closed_s=2,
    udp_s=11,
    icmp_s=5,
    sctp_s=23,
    other_s=13,
    revoked_s=3,
)
SYN, FIN, RST, ACK = 0x02, 0x01, 0x04, 0x10

keys = st.builds(
    FlowKey,
    version=st.just(4),
    proto=st.sampled_from([6, 6, 6, 17, 1, 132, 47]),
    src=st.sampled_from([1, 2]),
    src_port=st.sampled_from([10, 11]),
    dst=st.sampled_from([1, 2]),
    dst_port=st.sampled_from([10, 22]),
)
peers = st.sampled_from(["ann", "bo", "cy"])
flag_bytes = st.sampled_from([SYN, SYN | ACK, ACK, ACK, FIN | ACK, RST, 0])


@dataclass
class ModelFlow:
    key: FlowKey
    peer: str
    is_inbound: bool
    seen_at: float
    seen_in_order: int
    packets: list[tuple[bool, int]] = field(default_factory=list)
    """Each packet after the first: whether it is a reply, and its TCP flags."""
    is_revoked: bool = False

    @property
    def state(self) -> FlowState:
        if self.is_revoked:
            return FlowState.REVOKED
        replies = [place for place, (is_reply, _) in enumerate(self.packets) if is_reply]
        if self.key.proto != 6:
            return FlowState.ESTABLISHED if replies else FlowState.OPENING
        finished = {is_reply for is_reply, flags in self.packets if flags & FIN}
        if len(finished) == 2 or any(flags & RST for _, flags in self.packets):
            return FlowState.CLOSED
        if finished:
            return FlowState.CLOSING
        if not replies:
            return FlowState.OPENING
        after = self.packets[replies[0] :]
        confirmed = any(not is_reply and not flags & SYN for is_reply, flags in after)
        return FlowState.ESTABLISHED if confirmed else FlowState.ANSWERED

    @property
    def expires_at(self) -> float:
        settled = {6: 30, 17: 11, 1: 5, 132: 23, 47: 13}[self.key.proto]
        fresh = 5 if self.key.proto == 1 else 4
        return (
            self.seen_at
            + {
                FlowState.OPENING: fresh,
                FlowState.ANSWERED: fresh,
                FlowState.ESTABLISHED: settled,
                FlowState.CLOSING: 7,
                FlowState.CLOSED: 2,
                FlowState.REVOKED: 3,
            }[self.state]
        )


class FlowTableMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.table = ConnTrack(CAPACITY, TIMES)
        self.flows: list[ModelFlow] = []
        self.peers: list[str] = []
        """Peers with flows, in the order in which they got their first."""
        self.sightings = 0

    @rule(key=keys, peer=peers, is_inbound=st.booleans())
    def open(self, key: FlowKey, peer: str, is_inbound: bool) -> None:
        known = self.find(key)
        if known is not None:
            self.forget(known)
        if len(self.flows) == CAPACITY:
            self.forget_expired()
        if len(self.flows) == CAPACITY:
            self.forget(self.victim(peer))
        if peer not in self.peers:
            self.peers.append(peer)
        self.flows.append(ModelFlow(key, peer, is_inbound, self.now, self.next_sighting()))
        verdict = Verdict(allowed=True, reason=Reason.RULE)
        self.table.open(key, peer, verdict, self.now, is_inbound=is_inbound)

    @precondition(lambda self: self.flows)
    @rule(choice=st.integers(0, CAPACITY - 1), is_reply=st.booleans(), flags=flag_bytes)
    def observe_one_of_the_flows(self, choice: int, is_reply: bool, flags: int) -> None:
        key = self.flows[choice % len(self.flows)].key
        self.observe(key.reversed() if is_reply else key, flags)

    @rule(choice=st.integers(0, 7), flags=flag_bytes)
    def observe_any_key(self, choice: int, flags: int) -> None:
        self.observe(FlowKey(4, 6, 1, 10 + choice % 2, 1 + choice % 2, 22), flags)

    @precondition(lambda self: self.flows)
    @rule(choice=st.integers(0, CAPACITY - 1))
    def shake_hands(self, choice: int) -> None:
        key = self.flows[choice % len(self.flows)].key
        self.observe(key.reversed(), SYN | ACK)
        self.observe(key, ACK)

    def observe(self, key: FlowKey, flags: int) -> None:
        found = self.table.observe(key, self.now, flags)
        known = self.find(key)
        if known is not None:
            reopens = key.proto == 6 and flags & SYN and not flags & ACK
            is_over = known.state in {FlowState.CLOSED, FlowState.REVOKED}
            if known.expires_at <= self.now or (reopens and is_over):
                self.forget(known)
                known = None
            else:
                known.packets.append((key != known.key, flags))
                known.seen_at = self.now
                known.seen_in_order = self.next_sighting()
        assert (found is None) == (known is None)
        if found is not None and known is not None:
            assert (found.key, found.state) == (known.key, known.state)

    @rule(ports=st.sets(st.sampled_from([10, 22])))
    def rejudge(self, ports: set[int]) -> None:
        def decide(flow: Flow) -> Verdict:
            allowed = flow.dst_port in ports
            return Verdict(allowed=allowed, reason=Reason.RULE if allowed else Reason.NO_RULE)

        cut = {flow.key for flow in self.table.rejudge(decide, self.now)}
        expected = set()
        # The table goes through one peer after another, unsettled flows first.
        for known in sorted(self.flows, key=self.table_order):
            if not known.is_inbound:
                continue
            if known.key.dst_port in ports:
                if known.is_revoked:
                    self.forget(known)
            elif not known.is_revoked:
                known.is_revoked = True
                known.seen_at = self.now
                known.seen_in_order = self.next_sighting()
                expected.add(known.key)
        assert cut == expected

    @rule(peer=peers)
    def drop_peer(self, peer: str) -> None:
        gone = {flow.key for flow in self.table.drop_peer(peer)}
        leaving = [flow for flow in self.flows if flow.peer == peer]
        for flow in leaving:
            self.forget(flow)
        assert gone == {flow.key for flow in leaving}

    @precondition(lambda self: self.flows)
    @rule()
    def wait_until_something_is_due(self) -> None:
        self.now = max(self.now, min(flow.expires_at for flow in self.flows))

    @rule()
    def expire(self) -> None:
        gone = {flow.key for flow in self.table.expire(self.now)}
        assert gone == self.forget_expired()

    @rule(seconds=st.sampled_from([1, 1, 2, 3, 20]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def table_and_model_hold_the_same(self) -> None:
        assert {(f.key, f.peer, f.state, f.expires_at) for f in self.table} == {
            (f.key, f.peer, f.state, f.expires_at) for f in self.flows
        }
        assert len(self.table) == len(self.flows) <= CAPACITY

    @invariant()
    def nothing_expires_unannounced(self) -> None:
        deadline = self.table.deadline()
        if self.flows:
            assert deadline is not None
            assert deadline <= min(flow.expires_at for flow in self.flows)

    def find(self, key: FlowKey) -> ModelFlow | None:
        return next((f for f in self.flows if key in {f.key, f.key.reversed()}), None)

    def forget(self, flow: ModelFlow) -> None:
        self.flows.remove(flow)
        if all(other.peer != flow.peer for other in self.flows):
            self.peers.remove(flow.peer)

    def forget_expired(self) -> set[FlowKey]:
        gone = [flow for flow in self.flows if flow.expires_at <= self.now]
        for flow in gone:
            self.forget(flow)
        return {flow.key for flow in gone}

    def victim(self, opener: str) -> ModelFlow:
        counts = {peer: sum(f.peer == peer for f in self.flows) for peer in self.peers}
        payer = opener
        if counts.get(opener, 0) < CAPACITY / len(counts):
            payer = max(self.peers, key=lambda peer: counts[peer])
        return min((f for f in self.flows if f.peer == payer), key=self.table_order)

    def table_order(self, flow: ModelFlow) -> tuple[int, bool, int]:
        settled = flow.state not in {FlowState.OPENING, FlowState.ANSWERED}
        return self.peers.index(flow.peer), settled, flow.seen_in_order

    def next_sighting(self) -> int:
        self.sightings += 1
        return self.sightings


FlowTableMachine.TestCase.settings = settings(
    max_examples=300, stateful_step_count=50, deadline=None
)
test_the_table_agrees_with_the_model = FlowTableMachine.TestCase
