"""No client can read what is meant for another, nor speak in another's name."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from relay import frames
from tests.support.relay_pair import Lab, Wire
from tests.support.relay_region import Link, carry, connect

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


class RegionIsolation(RuleBasedStateMachine):
    """The same across two servers of one region, whose links break and come back."""

    @initialize()
    def build(self) -> None:
        self.labs = (Lab(seed=1), Lab(seed=2))
        self.links: list[Link] = []
        self.wires: list[tuple[Lab, Wire]] = []
        self.sent = 0
        self.join_the_servers()

    @rule()
    def join_the_servers(self) -> None:
        one, two = self.labs
        if not self.links:
            self.links = [connect(one, two), connect(two, one)]
            self.settle()

    @rule(both=st.booleans())
    def break_links(self, both: bool) -> None:
        for link in self.links if both else self.links[:1]:
            link.wire.client.disconnected("cut")
            link.wire.server.disconnected()
            link.hear()
        if both:
            self.links = []
        self.settle()

    @rule(server=st.integers(0, 1))
    def join(self, server: int) -> None:
        if len(self.wires) < 8:
            self.wires.append((self.labs[server], self.labs[server].join()))
            self.settle()

    @rule(server=st.integers(0, 1), index=st.integers(0, 7))
    def join_again_with_the_same_key(self, server: int, index: int) -> None:
        if self.wires and len(self.wires) < 8:
            private = self.wires[index % len(self.wires)][1].private
            self.wires.append((self.labs[server], self.labs[server].join(private)))
            self.settle()

    @rule(index=st.integers(0, 7))
    def leave(self, index: int) -> None:
        if self.wires:
            self.wires[index % len(self.wires)][1].server.disconnected()
            self.settle()

    @rule(a=st.integers(0, 7), b=st.integers(0, 7), burst=st.integers(1, 40), disco=st.booleans())
    def send(self, a: int, b: int, burst: int, disco: bool) -> None:
        live = self.live()
        if not live:
            return
        lab, sender = live[a % len(live)]
        receiver = self.wires[b % len(self.wires)][1]
        label = (DISCO if disco else b"D" * 66) + sender.key + receiver.key
        self.sent += burst
        lab.read(sender, frames.encode(frames.SendPacket(receiver.key, label)) * burst)
        self.settle()

    @rule(
        a=st.integers(0, 7),
        b=st.integers(0, 7),
        victim=st.integers(0, 7),
        what=st.sampled_from(["forward", "receive", "watch", "close"]),
    )
    def forge(self, a: int, b: int, victim: int, what: str) -> None:
        """Use, without the mesh key, what only servers may send to one another."""
        live = self.live()
        if not live:
            return
        lab, forger = live[a % len(live)]
        target = self.wires[b % len(self.wires)][1]
        name = self.wires[victim % len(self.wires)][1].key
        label = b"F" * 66 + name + target.key
        before = target.server.is_closed
        forgeries: dict[str, frames.Frame] = {
            "forward": frames.ForwardPacket(name, target.key, label),
            "receive": frames.RecvPacket(name, label),
            "watch": frames.WatchConns(),
            "close": frames.ClosePeer(target.key),
        }
        lab.read(forger, frames.encode(forgeries[what]))
        self.settle()
        # A RecvPacket is a type that servers do not know from clients, and skip.
        assert forger.server.is_closed or what == "receive"
        assert target.server.is_closed == before or target is forger
        assert lab.router.watcher_count() <= len(self.links)

    def live(self) -> list[tuple[Lab, Wire]]:
        return [pair for pair in self.wires if not pair[1].server.is_closed]

    def settle(self) -> None:
        carry(self.links, list(self.labs))

    @invariant()
    def packets_reach_only_their_addressee_under_their_true_source(self) -> None:
        for _lab, wire in getattr(self, "wires", ()):
            for event in wire.packets:
                source, addressee = event.packet[66:98], event.packet[98:130]
                assert addressee == wire.key
                assert source == event.source
                assert not event.packet.startswith(b"F")

    @invariant()
    def nothing_is_invented(self) -> None:
        if hasattr(self, "wires"):
            assert sum(len(wire.packets) for _lab, wire in self.wires) <= self.sent

    @invariant()
    def only_servers_hear_who_is_there(self) -> None:
        for _lab, wire in getattr(self, "wires", ()):
            assert not any(isinstance(event, frames.PeerPresent) for event in wire.events)


TestRelayIsolation = RelayIsolation.TestCase
TestRegionIsolation = RegionIsolation.TestCase
TestRegionIsolation.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestRelayIsolation.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
