"""WireGuard under everything a network can do to it."""

from __future__ import annotations

import ipaddress
from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.wireguard.allowed_ips import AllowedIPs
from node.wireguard.constants import REJECT_AFTER_MESSAGES, REPLAY_WINDOW
from node.wireguard.inner import trimmed_length
from node.wireguard.messages import message_type
from node.wireguard.replay import ReplayWindow
from node.wireguard.tai64n import Stamper
from tests.support.wireguard_pair import Pair, Side, ipv4_packet

if TYPE_CHECKING:
    from node.wireguard.events import Datagram

counters = st.one_of(
    st.integers(0, 40),
    st.integers(REPLAY_WINDOW - 3, REPLAY_WINDOW + 40),
    st.integers(3 * REPLAY_WINDOW - 3, 3 * REPLAY_WINDOW + 3),
    st.integers(REJECT_AFTER_MESSAGES - REPLAY_WINDOW - 3, REJECT_AFTER_MESSAGES + 3),
)


class ModelWindow:
    """The rule in words, as a set."""

    def __init__(self) -> None:
        self.highest = 0
        self.seen: set[int] = set()

    def accept(self, counter: int) -> bool:
        if counter >= REJECT_AFTER_MESSAGES or self.highest - counter > REPLAY_WINDOW:
            return False
        if counter in self.seen:
            return False
        self.seen.add(counter)
        self.highest = max(self.highest, counter)
        return True


@given(st.lists(st.tuples(counters, st.integers(1, 64)), max_size=60))
def test_replay_window_equals_a_set(steps: list[tuple[int, int]]) -> None:
    window, model = ReplayWindow(), ModelWindow()
    for first, count in steps:
        burst = range(first, first + count)
        if window.accept_run(first, count):
            assert all(model.accept(counter) for counter in burst)
        else:
            assert [window.accept(n) for n in burst] == [model.accept(n) for n in burst]


addresses = st.integers(0x0A000000, 0x0A00FFFF)
prefixes = st.tuples(addresses, st.integers(14, 32), st.integers(0, 4))


@given(st.lists(prefixes, max_size=30), st.lists(addresses, min_size=1, max_size=30))
def test_allowed_ips_equal_a_linear_scan(
    routes: list[tuple[int, int, int]], probes: list[int]
) -> None:
    owners = [object() for _ in range(5)]
    table: AllowedIPs[object] = AllowedIPs()
    scan: dict[ipaddress.IPv4Network, object] = {}
    for address, length, who in routes:
        network = ipaddress.IPv4Network((address, length), strict=False)
        table.insert(network, owners[who])
        scan[network] = owners[who]
    for probe in probes:
        ip = ipaddress.IPv4Address(probe)
        holding = [network for network in scan if ip in network]
        want = scan[max(holding, key=lambda n: n.prefixlen)] if holding else None
        assert table.lookup(ip.packed) is want


@given(st.binary(max_size=200))
@example(b"")
def test_any_bytes_are_a_message_or_noise(data: bytes) -> None:
    kind = message_type(data)
    assert kind is None or data[1:4] == b"\0\0\0"


@given(st.binary(max_size=120))
def test_trimmed_length_never_exceeds_the_plaintext(data: bytes) -> None:
    length = trimmed_length(data)
    assert length is None or 20 <= length <= len(data)


@given(st.lists(st.integers(0, 2**62), max_size=40))
def test_stamps_always_grow(times: list[int]) -> None:
    stamper = Stamper()
    stamps = [stamper.stamp(at) for at in times]
    assert all(a < b for a, b in pairwise(stamps))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 147), st.integers(0, 7))
def test_any_flipped_bit_of_an_initiation_is_refused(position: int, bit: int) -> None:
    pair = Pair()

    def corrupt(side: Side, datagram: Datagram) -> bool:
        if side is pair.b:
            return True
        data = bytearray(datagram.data)
        if len(data) == 148:
            data[position] ^= 1 << bit
        pair.b.device.receive(bytes(data), side.endpoint, pair.clock.now)
        return False

    pair.deliver = corrupt
    pair.send(pair.a)
    # MAC2 is only read under load: its bytes are free.
    answered = ("b", "response") in pair.kinds()
    assert answered is (position >= 132)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["pass", "drop", "twice", "hold", "flip"]), max_size=60))
def test_no_packet_is_forged_doubled_or_lost_for_ever(fates: list[str]) -> None:
    pair = Pair()
    script = iter(fates)
    held: list[tuple[Side, bytes]] = []

    def link(side: Side, datagram: Datagram) -> bool:
        other = pair.other(side)
        fate = next(script, "pass")
        if fate == "twice":
            other.device.receive(datagram.data, side.endpoint, pair.clock.now)
        if fate == "flip":
            data = bytearray(datagram.data)
            data[len(data) // 2] ^= 4
            other.device.receive(bytes(data), side.endpoint, pair.clock.now)
        if fate == "hold":
            held.append((other, datagram.data))
        return fate in {"pass", "twice"}

    pair.deliver = link
    sent: dict[str, list[bytes]] = {"a": [], "b": []}
    for number in range(12):
        side = pair.a if number % 2 else pair.b
        payload = number.to_bytes(2, "big")
        packet = ipv4_packet(side.inner, pair.other(side).inner, payload)
        sent[side.name].append(pair.send(side, packet))
        pair.advance(1.5)
        while held:
            other, data = held.pop()
            other.device.receive(data, pair.other(other).endpoint, pair.clock.now)
    for receiver, sender in ((pair.a, "b"), (pair.b, "a")):
        assert len(receiver.packets) == len(set(receiver.packets))
        assert set(receiver.packets) <= set(sent[sender])
    pair.deliver = lambda *_: True
    pair.advance(30)
    last = pair.send(pair.a)
    assert last in pair.b.packets
