"""Bursts over loopback, with the kernel's segmentation and without."""

from __future__ import annotations

import select

import pytest

from node.transport.endpoint import Endpoint
from node.transport.udp import RECEIVE_BYTES, UdpTransport

SIZES = [700, 700, 700, 333]


def exchange(sender: UdpTransport, receiver: UdpTransport, host: str) -> list[bytes]:
    """Send one burst over loopback; the datagrams that came."""
    path = Endpoint.from_text(host, receiver.port)
    burst = b"".join(bytes([n + 1]) * size for n, size in enumerate(SIZES))
    assert sender.send(path, burst, SIZES[0]) == 0
    buffer = memoryview(bytearray(RECEIVE_BYTES))
    found: list[bytes] = []
    while len(found) < len(SIZES):
        ready, _, _ = select.select(receiver.sockets, [], [], 5)
        assert ready, "no datagram within 5 s"
        for sock in ready:
            got = receiver.receive(sock, buffer)
            if got is not None:
                size, segment, source = got
                assert source == Endpoint.from_text(host, sender.port)
                found += [
                    bytes(buffer[at : min(at + segment, size)]) for at in range(0, size, segment)
                ]
    return found


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("segments", [(True, True), (False, True), (True, False), (False, False)])
def test_burst_arrives_whole_with_and_without_offloads(
    host: str, segments: tuple[bool, bool]
) -> None:
    sender, receiver = (UdpTransport(segments=on) for on in segments)
    try:
        found = exchange(sender, receiver, host)
    finally:
        sender.close()
        receiver.close()
    assert found == [bytes([n + 1]) * size for n, size in enumerate(SIZES)]


def test_kernel_that_refuses_segmentation_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # An option number that no kernel knows makes sendmsg fail as an old kernel does.
    monkeypatch.setattr("node.transport.udp._UDP_SEGMENT", 250)
    sender, receiver = UdpTransport(), UdpTransport()
    try:
        tried = [sender.gso]
        found = exchange(sender, receiver, "127.0.0.1")
        tried.append(sender.gso)
    finally:
        sender.close()
        receiver.close()
    assert tried == [True, False]
    assert len(found) == len(SIZES)


def test_nothing_there_is_none() -> None:
    transport = UdpTransport()
    try:
        buffer = memoryview(bytearray(RECEIVE_BYTES))
        assert transport.receive(transport.sockets[0], buffer) is None
    finally:
        transport.close()
