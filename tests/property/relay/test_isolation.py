"""No client can read what is meant for another, nor speak in another's name."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from relay import frames
from tests.support.relay_pair import Lab, Wire

DISCO = frames.DISCO_MAGIC + bytes(60)


class RelayIsolation(RuleBasedStateMachine):
    """Random joins, duplicates, departures, sends and forged frames, against a plain model.

    Every packet names, in clear, who sent it and to whom it was addressed; the invariant is that
    whoever receives it holds the key it was addressed to, and sees the key of the true sender.
    """

    @initialize()
    def build(self) -> None:
        self.lab = Lab()
        self.wires: list[Wire] = []
        self.sent = 0

    @rule()
    def join(self) -> None:
        if len(self.wires) < 8:
            self.wires.append(self.lab.join())

    @rule(index=st.integers(0, 7))
    def join_again_with_the_same_key(self, index: int) -> None:
        if self.wires and len(self.wires) < 8:
            self.wires.append(self.lab.join(self.wires[index % len(self.wires)].private))

    @rule(index=st.integers(0, 7))
    def leave(self, index: int) -> None:
        if self.wires:
            self.wires[index % len(self.wires)].server.disconnected()
            self.lab.settle()

    @rule(a=st.integers(0, 7), b=st.integers(0, 7), disco=st.booleans(), burst=st.integers(1, 40))
    def send(self, a: int, b: int, disco: bool, burst: int) -> None:
        live = [wire for wire in self.wires if not wire.server.is_closed]
        if not live:
            return
        sender, receiver = live[a % len(live)], self.wires[b % len(self.wires)]
        label = (DISCO if disco else b"D" * 66) + sender.key + receiver.key
        for _ in range(burst):
            self.sent += 1
            sender.client.send_packet(receiver.key, label, self.lab.now)
        self.lab.settle()

    @rule(a=st.integers(0, 7), b=st.integers(0, 7), victim=st.integers(0, 7))
    def forge(self, a: int, b: int, victim: int) -> None:
        """Claim to be `victim` with frames only a server or a mesh peer may send."""
        live = [wire for wire in self.wires if not wire.server.is_closed]
        if not live:
            return
        forger = live[a % len(live)]
        target = self.wires[b % len(self.wires)].key
        name = self.wires[victim % len(self.wires)].key
        label = b"F" * 66 + name + target
        forged = frames.encode(frames.RecvPacket(name, label)) + frames.encode(
            frames.ForwardPacket(name, target, label)
        )
        forger.server.receive(forged, self.lab.now)
        self.lab.settle()
        assert forger.server.is_closed

    @rule(index=st.integers(0, 7), blocked=st.booleans())
    def block(self, index: int, blocked: bool) -> None:
        if self.wires:
            wire = self.wires[index % len(self.wires)]
            if not wire.server.is_closed:
                if blocked:
                    wire.server.pause_writing(self.lab.now)
                else:
                    wire.server.resume_writing(self.lab.now)
                self.lab.settle()

    @invariant()
    def packets_reach_only_their_addressee_under_their_true_source(self) -> None:
        for wire in getattr(self, "wires", ()):
            for event in wire.packets:
                source, addressee = event.packet[66:98], event.packet[98:130]
                assert addressee == wire.key
                assert source == event.source
                assert not event.packet.startswith(b"F")

    @invariant()
    def nothing_is_invented(self) -> None:
        if hasattr(self, "wires"):
            assert sum(len(wire.packets) for wire in self.wires) <= self.sent


TestRelayIsolation = RelayIsolation.TestCase
TestRelayIsolation.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
