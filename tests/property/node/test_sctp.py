"""SCTP tracking: any bytes are judged, and verdicts are those of the reference evaluator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from engine.evaluate import reference
from node.datapath.decode import decode
from node.datapath.flows import FlowTable
from node.datapath.sctp import read
from tests.support.packets import ip_packet, sctp_chunk, sctp_init, sctp_packet
from tests.support.wire_gate import LOCAL, REMOTE, GateBed, rule

if TYPE_CHECKING:
    import random

COMMON = b"\x9c\x40\x00\x16"
LOCAL_TEXTS = (LOCAL, "fd00::2")
SCTP_RULE = rule(ip_proto=(132,))
DATA, COOKIE_ECHO, COOKIE_ACK = (
    sctp_chunk(0, bytes(16)),
    sctp_chunk(10, b"cookie"),
    sctp_chunk(11),
)
CHUNKS = st.one_of(
    st.builds(sctp_chunk, st.integers(0, 255), st.binary(max_size=24), st.integers(0, 1)),
    st.builds(sctp_init, st.integers(0, 3), st.sampled_from([1, 2])),
    st.binary(max_size=12),
)


@given(st.binary(max_size=12), st.lists(CHUNKS, max_size=6), st.booleans())
def test_any_bytes_are_read_or_refused(head: bytes, chunks: list[bytes], is_whole: bool) -> None:
    data = head.ljust(12, b"\0") + b"".join(chunks)
    said = read(data, is_whole=is_whole)
    if said is not None:
        assert (said.tag == 0) is said.opens
        assert said.tag == int.from_bytes(data[4:8], "big")
        # What is well-formed as a whole is so as the beginning of more.
        assert read(data, is_whole=False) is not None


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=60)), max_size=8))
def test_any_bytes_pass_the_gate_or_not(sent: list[tuple[bool, bytes]]) -> None:
    bed = GateBed([SCTP_RULE], FlowTable(max_flows=2, max_flows_per_peer=2))
    for is_inbound, data in sent:
        src, dst = (REMOTE, LOCAL) if is_inbound else (LOCAL, REMOTE)
        packet = ip_packet(src, dst, 132, COMMON + data)
        header = decode(packet)
        assert header is not None
        passes = bed.arrives(packet) if is_inbound else bed.leaves(packet)
        assert not (passes and header.proto == 0)
        assert len(bed.gate.flows) <= 2


class Life:
    """One association's life between honest endpoints, with a forger behind the peer.

    It knows what the endpoints do and which tags they chose, not what can be read on the way. Each
    inbound verdict must be the reference evaluator's, told whether the packet answers a flow of
    ours.
    """

    def __init__(self, dice: random.Random, *, has_rule: bool) -> None:
        self.rules = [SCTP_RULE] if has_rule else []
        self.bed = GateBed(self.rules)
        self.here, self.there = dice.randint(1, 5), dice.randint(6, 9)
        self.is_ours = dice.random() < 0.5
        self.dice = dice

    def leaves(self, tag: int, chunk: bytes) -> None:
        assert self.bed.leaves(sctp_packet(LOCAL, REMOTE, 22, 22, tag, chunk))

    def arrives(self, tag: int, chunk: bytes, *, is_answer: bool) -> bool:
        packet = sctp_packet(REMOTE, LOCAL, 22, 22, tag, chunk)
        header = decode(packet)
        assert header is not None
        began = [header.key.reversed()] if is_answer else []
        want = reference.inbound(self.rules, header, LOCAL_TEXTS, began).allowed
        assert self.bed.arrives(packet) is want, (tag, chunk, is_answer)
        return want

    def forge(self) -> None:
        chunk = self.dice.choice([DATA, sctp_chunk(6), sctp_chunk(6, flags=1), sctp_chunk(14)])
        self.arrives(self.dice.randint(10, 99), chunk, is_answer=False)

    def begin(self) -> bool:
        if self.is_ours:
            self.leaves(0, sctp_init(self.here))
            self.forge()
            self.arrives(self.here, sctp_init(self.there, kind=2), is_answer=True)
            self.leaves(self.there, COOKIE_ECHO)
            return self.arrives(self.here, COOKIE_ACK, is_answer=True)
        if not self.arrives(0, sctp_init(self.there), is_answer=False):
            return False
        self.leaves(self.there, sctp_init(self.here, kind=2))
        self.arrives(self.here, COOKIE_ECHO, is_answer=False)
        self.leaves(self.there, COOKIE_ACK)
        return True

    def go_on(self) -> None:
        match self.dice.choice(["in", "out", "forged"]):
            case "in":
                self.arrives(self.here, DATA, is_answer=self.is_ours)
            case "out":
                self.leaves(self.there, DATA)
            case _:
                self.forge()

    def end(self) -> None:
        if self.dice.random() < 0.5:
            self.leaves(self.there, sctp_chunk(6))
        else:
            self.arrives(self.here, sctp_chunk(14), is_answer=self.is_ours)
        self.arrives(self.here, sctp_chunk(8), is_answer=self.is_ours)
        self.arrives(0, sctp_init(7), is_answer=False)


@given(st.randoms(use_true_random=False), st.booleans())
def test_verdicts_are_those_of_the_reference_evaluator(dice: random.Random, has_rule: bool) -> None:
    life = Life(dice, has_rule=has_rule)
    life.arrives(life.here, DATA, is_answer=False)
    if life.begin():
        for _ in range(dice.randint(0, 12)):
            life.go_on()
        life.end()
        life.forge()
    else:
        assert len(life.bed.gate.flows) == 0
