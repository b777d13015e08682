"""Whole data paths under a bad network, and the gate against the reference evaluator."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.evaluate import Flow, Reason, reference
from engine.netset import IpSet
from engine.rules import FilterRule, NetPortRange, PortRange
from node.datapath.decode import decode
from node.datapath.gate import Gate, InstalledFilter
from node.datapath.tun import Offloads
from node.datapath.virtio import NO_OFFLOAD
from node.wireguard.inner import trimmed_length
from tests.support.datapath_pair import DataPathPair, tcp_super, udp_super
from tests.support.packets import (
    Tcp,
    ip_packet,
    sctp_chunk,
    sctp_init,
    sctp_packet,
    split_slowly,
    udp_packet,
)
from tests.support.wire_gate import GateBed

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCAL_TEXTS = ("10.0.0.2", "fd00::2", "192.168.4.0/24")
BYTES = bytes(n * 31 % 253 for n in range(60000))


@st.composite
def traffic(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Draw a packet of host a as the kernel gives it: virtio header and super-packet."""
    v6 = draw(st.booleans())
    src, dst = ("fd00::1", "fd00::2") if v6 else ("10.0.0.1", "10.0.0.2")
    size = draw(st.integers(1, 30000))
    mss = draw(st.sampled_from([64, 536, 1000, 1001, 1300, 1368]))
    if draw(st.booleans()):
        flags = draw(st.sampled_from([0x10, 0x18]))
        seq = draw(st.integers(0, 2**32 - 1))
        packet = Tcp(
            src=src,
            dst=dst,
            seq=seq,
            flags=flags,
            payload=BYTES[:size],
            ident=draw(st.integers(0, 65535)),
        ).pack()
        return tcp_super(packet, mss), packet
    packet = udp_packet(src, dst, 1, 2, BYTES[:size])
    return udp_super(packet, mss), packet


def segments(virtio: bytes, packet: bytes) -> list[bytes]:
    return split_slowly(virtio, packet)


@settings(max_examples=60, deadline=None)
@given(st.lists(traffic(), min_size=1, max_size=6), st.sampled_from(list(Offloads)))
def test_every_segment_arrives_once_in_order_and_unchanged(
    sent: list[tuple[bytes, bytes]], offloads: Offloads
) -> None:
    pair = DataPathPair(offloads=offloads)
    try:
        pair.a.host_sends(Tcp().pack())
        pair.settle()
        assert pair.b.host_got() == [Tcp().pack()]
        for virtio, packet in sent:
            want = segments(virtio, packet)
            pair.a.host_sends(packet, virtio)
            pair.settle()
            assert pair.b.host_got() == want
    finally:
        pair.close()


@settings(max_examples=80, deadline=None)
@given(st.data(), st.booleans(), st.sampled_from([536, 1000, 1001, 1300, 1368]))
def test_super_packets_that_wait_together_arrive_like_each_by_itself(
    data: st.DataObject, v6: bool, mss: int
) -> None:
    """One stream mostly, as iperf3's: what one of them breaks must not reach the others."""
    src, dst = ("fd00::1", "fd00::2") if v6 else ("10.0.0.1", "10.0.0.2")
    pair = DataPathPair()
    try:
        pair.a.host_sends(Tcp(src=src, dst=dst).pack())
        pair.settle()
        assert len(pair.b.host_got()) == 1
        want: list[bytes] = []
        seq, ident = data.draw(st.sampled_from([(1, 1), (2**32 - 9000, 65500)]))
        count = data.draw(st.integers(2, 12))
        for _ in range(data.draw(st.integers(2, 9))):
            odd = data.draw(
                st.sampled_from(["", "", "", "", "psh", "short", "flow", "window", "ack"])
            )
            payload = b"" if odd == "ack" else BYTES[: count * mss - (odd == "short")]
            tcp = Tcp(
                src=src,
                dst=dst,
                sport=40001 if odd == "flow" else 40000,
                seq=seq,
                flags=0x18 if odd == "psh" else 0x10,
                window=77 if odd == "window" else 502,
                ident=ident & 0xFFFF,
                payload=payload,
            )
            packet = tcp.pack()
            virtio = tcp_super(packet, mss) if payload else NO_OFFLOAD
            want += segments(virtio, packet) if payload else [packet]
            pair.a.host_sends(packet, virtio)
            seq, ident = seq + len(payload), ident + count
        pair.settle()
        assert pair.b.host_got() == want
        assert pair.b.path.counters.segments_in == 1 + len(want)
    finally:
        pair.close()


@settings(max_examples=60, deadline=None)
@given(st.lists(traffic(), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_bad_network_neither_forges_nor_doubles(
    sent: list[tuple[bytes, bytes]], fate: random.Random
) -> None:
    pair = DataPathPair()

    def link(burst: list[bytes]) -> list[list[bytes]]:
        out = []
        for datagram in burst:
            match fate.randrange(8):
                case 0:
                    continue
                case 1:
                    out += [datagram, datagram]
                case 2:
                    out.insert(fate.randrange(len(out) + 1), datagram)
                case 3:
                    broken = bytearray(datagram)
                    broken[fate.randrange(len(broken))] ^= 1 << fate.randrange(8)
                    out.append(bytes(broken))
                case _:
                    out.append(datagram)
        return [out] if out else []

    try:
        pair.a.host_sends(Tcp().pack())
        pair.settle()
        pair.b.host_got()
        pair.link = link
        for virtio, packet in sent:
            left = segments(virtio, packet)
            pair.a.host_sends(packet, virtio)
            pair.settle()
            for arrived in pair.b.host_got():
                assert arrived in left
                left.remove(arrived)
        pair.link = lambda burst: [burst]
        pair.a.host_sends(Tcp(seq=9).pack())
        pair.settle()
        assert pair.b.host_got() == [Tcp(seq=9).pack()]
    finally:
        pair.close()


@pytest.mark.parametrize("count", [1, 3, 4, 40, 64])
@pytest.mark.parametrize("size", [1, 33, 64, 1390])
def test_small_packets_go_in_one_burst_and_come_out_the_same(count: int, size: int) -> None:
    pair = DataPathPair()
    try:
        pair.a.host_sends(Tcp().pack())
        pair.settle()
        pair.b.host_got()
        packets = [
            udp_packet("10.0.0.1", "10.0.0.2", 7, 9, bytes([n]) * size, ident=n)
            for n in range(count)
        ]
        for packet in packets:
            partial = bytearray(packet)
            addresses = packet[12:20]
            total = sum(int.from_bytes(addresses[i : i + 2], "big") for i in range(0, 8, 2))
            total += 17 + len(packet) - 20
            total = (total & 0xFFFF) + (total >> 16)
            partial[26:28] = total.to_bytes(2, "big")
            pair.a.host_sends(bytes(partial), b"\1\0\0\0\0\0\x14\0\x06\0")
        pair.settle()
        assert pair.b.host_got() == packets
    finally:
        pair.close()


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_not_and_never_pass_when_unknown(data: bytes) -> None:
    header = decode(data)
    if header is not None and header.proto == 0:
        bed = GateBed([FilterRule(("*",), (NetPortRange("*", PortRange(0, 65535)),))])
        assert not bed.arrives(data)


@given(st.binary(min_size=20, max_size=120), st.sampled_from([0x45, 0x46, 0x60, None]))
def test_first_and_later_looks_at_a_packet_agree(data: bytes, first: int | None) -> None:
    packet = bytearray(data)
    if first is not None:
        packet[0] = first
    if packet[0] >> 4 == 4:
        packet[2:4] = len(packet).to_bytes(2, "big")
        packet[12:16], packet[16:20] = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
    if trimmed_length(bytes(packet)) is None:
        return
    bed = GateBed([FilterRule(("*",), (NetPortRange("*", PortRange(0, 30000)),))])
    once = bed.arrives(bytes(packet))
    assert bed.arrives(bytes(packet)) is once


# The gate against the engine's reference evaluator.


def random_rule(dice: random.Random) -> FilterRule:
    sources = ["*", "10.0.0.1", "10.0.0.0/24", "10.0.9.3-10.0.9.200", "fd00::1", "fd00::/64"]
    targets = ["*", "10.0.0.2", "192.168.4.0/25", "192.168.4.7-192.168.4.9", "fd00::2"]
    entries = []
    for _ in range(dice.randint(1, 3)):
        first = dice.choice([0, 1, 22, 80, 443, 1024, 65535])
        last = dice.choice([first, min(first + 10, 65535), 65535])
        entries.append(NetPortRange(dice.choice(targets), PortRange(first, last)))
    protocols = dice.choice([None, None, (6,), (17,), (1,), (132,), (47,), (6, 17), (58,)])
    return FilterRule(tuple(dice.sample(sources, dice.randint(1, 3))), tuple(entries), protocols)


def random_packet(dice: random.Random) -> bytes:
    """Draw a flow's first packet, at the edges of what the rules name."""
    if dice.random() < 0.3:
        src, dst = "fd00::1", dice.choice(["fd00::2", "fd00::3", "ff02::1", "fe80::9"])
    else:
        src = dice.choice(["10.0.0.1", "10.0.9.2", "10.0.9.3", "10.0.9.200", "10.0.9.201"])
        dst = dice.choice(
            ["10.0.0.2", "10.0.0.3", "192.168.4.0", "192.168.4.7", "192.168.4.9", "192.168.4.10",
             "192.168.4.127", "192.168.4.128", "192.168.5.0", "224.0.0.5", "169.254.169.254"]
        )  # fmt: skip
    port = dice.choice(
        [0, 1, 11, 12, 21, 22, 23, 32, 33, 79, 80, 90, 91, 443, 453, 1023, 1034, 65535]
    )
    ports = (40000).to_bytes(2, "big") + port.to_bytes(2, "big")
    match dice.choice(["tcp", "udp", "sctp", "icmp", "icmp6", "gre", "tsmp", "short", "fragment"]):
        case "tcp":
            return Tcp(src=src, dst=dst, dport=port, flags=0x02, options=b"").pack()
        case "udp":
            return udp_packet(src, dst, 40000, port, b"x" * dice.randint(0, 20))
        case "sctp":
            return random_sctp(dice, src, dst, port)
        case "icmp":
            return ip_packet(src, dst, 1, bytes([dice.choice([0, 3, 8, 11, 12, 13]), 0]) + bytes(6))
        case "icmp6":
            return ip_packet(
                src, dst, 58, bytes([dice.choice([1, 2, 128, 129, 135]), 0]) + bytes(6)
            )
        case "gre":
            return ip_packet(src, dst, 47, bytes(8))
        case "tsmp":
            return ip_packet(src, dst, 99, bytes(8))
        case "short":
            return ip_packet(src, dst, dice.choice([6, 17, 132, 1]), bytes(dice.randint(0, 7)))
        case _:
            return ip_packet(
                src, dst, 17, ports + bytes(20), frag=dice.choice([0x2000, 5, 9, 10, 200])
            )


def random_sctp(dice: random.Random, src: str, dst: str, port: int) -> bytes:
    """Draw a packet that opens, goes on with or ends an association, or is malformed."""
    if dice.random() < 0.4:
        return sctp_packet(src, dst, 40000, port, 0, sctp_init(7))
    kind = dice.choice([0, 2, 3, 4, 6, 8, 10, 14, 64, 200])
    body = bytes(dice.choice([0, 4, 12, 13, 16]))
    return sctp_packet(
        src, dst, 40000, port, dice.choice([0, 9]), sctp_chunk(kind, body, dice.randint(0, 1))
    )


def compare(flows: int, seed: int) -> None:
    """Judge packets by fresh gates and by the reference; all verdicts must be equal."""
    dice = random.Random(seed)  # noqa: S311  the same flows in every run
    bed = GateBed(None)
    local = IpSet.of_strings(LOCAL_TEXTS)
    done = 0
    while done < flows:
        rules = [random_rule(dice) for _ in range(dice.randint(0, 8))]
        installed = InstalledFilter(rules, local)
        for _ in range(100):
            packet = random_packet(dice)
            header = decode(packet)
            assert header is not None
            want = reference.inbound(rules, header, LOCAL_TEXTS)
            gate = Gate(bed.routes, installed)
            peer = bed.routes.lookup(packet[8:24] if packet[0] >> 4 == 6 else packet[12:16])
            assert peer is not None
            got = gate.admit_inbound(memoryview(packet), 1, len(packet), peer, 0.0)
            assert (got is not None) is want.allowed, (rules, header, want)
            if got is None:
                assert gate.counters.drops["in", want.reason] == 1
            elif want.reason is Reason.RULE:
                assert got.counters.index == want.rule_index
            done += 1


def test_gate_equals_the_reference_evaluator() -> None:
    compare(3_000, seed=1)


@pytest.mark.soak
def test_gate_equals_the_reference_evaluator_on_many_flows() -> None:
    compare(100_000, seed=2)


def edges() -> Iterator[bytes]:
    base = Tcp(src="10.0.0.1", dst="10.0.0.2", dport=22, options=b"")
    for flags in range(64):
        yield replace(base, flags=flags).pack()


def test_tcp_out_of_nowhere_is_judged_as_if_it_were_a_syn() -> None:
    rules = [FilterRule(("10.0.0.1",), (NetPortRange("10.0.0.2", PortRange(22, 22)),))]
    for packet in edges():
        header = decode(packet)
        assert header is not None
        want = reference.decide(rules, Flow(4, header.src, header.dst, 6, header.dst_port))
        assert GateBed(rules).arrives(packet) is want.allowed
        assert not GateBed([]).arrives(packet)


@pytest.mark.soak
@pytest.mark.parametrize("target", ["decode", "coalesce", "segment", "datagram"])
def test_coverage_guided_fuzzing_finds_nothing(target: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="SKIPPED LOUDLY: atheris is not installed")
    script = Path(__file__).with_name("fuzz_packets.py")
    finished = subprocess.run(
        (sys.executable, str(script), target, "-runs=150000", "-max_len=400", "-timeout=10",
         f"-artifact_prefix={tmp_path}/"),
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert "Done 150000" in finished.stderr
