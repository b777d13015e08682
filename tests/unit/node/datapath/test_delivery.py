"""Opened bursts to the TUN device: what is written in one call, and what when it is refused."""

from __future__ import annotations

import errno
import ipaddress
import os
from collections import Counter
from typing import TYPE_CHECKING, cast

import pytest

from node.datapath.buffers import LEAD, TAG
from node.datapath.delivery import Delivery
from node.datapath.gate import Gate
from node.datapath.tun import Offloads
from node.datapath.virtio import HEADER_BYTES
from node.wireguard.allowed_ips import AllowedIPs
from node.wireguard.events import Drop
from node.wireguard.peer import Peer
from tests.support.datapath_pair import FakeTun
from tests.support.packets import Tcp, split_slowly, udp_packet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from node.datapath.tun import Tun

MSS, COUNT = 1001, 6
SIZE = 1 << 16


class Bed:
    """A delivery without a filter, and the host's side of its TUN device."""

    def __init__(self) -> None:
        self.peer = Peer(bytes(32))
        routes: AllowedIPs[Peer] = AllowedIPs()
        routes.replace(
            self.peer, (ipaddress.ip_network("10.0.0.1"), ipaddress.ip_network("fd00::1"))
        )
        self.tun = FakeTun(Offloads.TCP_AND_UDP)
        self.gate = Gate(routes, None)
        self.drops: Counter[Drop] = Counter()
        self.buffer = bytearray(SIZE)
        self.delivery = Delivery(
            memoryview(self.buffer), cast("Tun", self.tun), self.gate, self.drops
        )

    def deliver(self, packets: list[bytes]) -> None:
        """Deliver packets of which the last may be shorter, as an opened burst."""
        width = len(packets[0]) + 3
        stride = LEAD + width + TAG
        for number, packet in enumerate(packets):
            begin = number * stride + LEAD
            self.buffer[begin : begin + len(packet)] = packet
        count = len(packets) - (len(packets[-1]) < len(packets[0]))
        tail = None
        if count < len(packets):
            begin = count * stride + LEAD
            tail = memoryview(self.buffer)[begin : begin + len(packets[-1])]
        self.delivery.deliver_rows(stride, count, tail, self.peer, 1.0)

    def written(self) -> list[bytes]:
        """Return what reached the host, a write each."""
        found = []
        while True:
            try:
                found.append(self.tun.kernel.recv(1 << 17))
            except BlockingIOError:
                return found


@pytest.fixture
def bed() -> Iterator[Bed]:
    bed = Bed()
    yield bed
    bed.tun.close()


@pytest.mark.parametrize("extra", [0, 1, 500])
@pytest.mark.parametrize("flags", [0x10, 0x18], ids=["ack", "psh"])
def test_train_and_its_shorter_end_are_one_write(bed: Bed, extra: int, flags: int) -> None:
    payload = bytes(n % 251 for n in range(MSS * COUNT + extra))
    packets = Tcp(payload=payload, flags=flags).train(MSS)
    bed.deliver(packets)
    (one,) = bed.written()
    assert split_slowly(one[:HEADER_BYTES], one[HEADER_BYTES:]) == packets
    assert bed.gate.counters.segments_in == len(packets)


def test_end_of_another_flow_is_written_by_itself(bed: Bed) -> None:
    train = Tcp(payload=bytes(MSS * COUNT)).train(MSS)
    other = Tcp(payload=b"x" * 9, sport=40001).pack()
    bed.deliver([*train, other])
    first, second = bed.written()
    assert split_slowly(first[:HEADER_BYTES], first[HEADER_BYTES:]) == train
    assert second[HEADER_BYTES:] == other


def test_without_offloads_every_packet_is_written_by_itself(bed: Bed) -> None:
    bed.tun.set_offloads(Offloads.NONE)
    packets = Tcp(payload=bytes(MSS * COUNT + 7)).train(MSS)
    bed.deliver(packets)
    assert [one[HEADER_BYTES:] for one in bed.written()] == packets


def test_refused_group_is_written_packet_by_packet_and_not_tried_again(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int, data: bytes) -> int:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr("node.datapath.delivery.os.write", refuse)
    packets = [udp_packet("fd00::1", "fd00::2", 7, 9, bytes([n]) * 300) for n in range(4)]
    bed.deliver(packets)
    assert [one[HEADER_BYTES:] for one in bed.written()] == packets
    assert bed.tun.offloads is Offloads.TCP
    bed.deliver(packets)
    assert [one[HEADER_BYTES:] for one in bed.written()] == packets


def test_spoofed_train_is_dropped_whole(bed: Bed) -> None:
    bed.deliver(Tcp(src="10.0.0.9", payload=bytes(MSS * COUNT)).train(MSS))
    assert bed.written() == []
    assert sum(bed.gate.counters.drops.values()) == COUNT


def test_acknowledgements_arrive_one_by_one(bed: Bed) -> None:
    packets = [Tcp(ack=5000 + n).pack() for n in range(5)]
    bed.deliver(packets)
    assert [one[HEADER_BYTES:] for one in bed.written()] == packets


def test_packet_longer_than_its_message_is_dropped(bed: Bed) -> None:
    packet = bytearray(Tcp().pack())
    packet[2:4] = (900).to_bytes(2, "big")
    bed.delivery.deliver(memoryview(packet), bed.peer, 1.0)
    assert bed.written() == []
    assert bed.drops[Drop.INNER_MALFORMED] == 1
