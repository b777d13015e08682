"""Super-packets as a kernel gives them."""

from __future__ import annotations

from typing import Any

from node.datapath.superpacket import SuperPacket, inspect
from node.datapath.virtio import VirtioHeader
from tests.support.packets import Tcp

V6: dict[str, Any] = {"src": "fd00::1", "dst": "fd00::2"}
"""Fields of a packet over IPv6."""


def super_tcp(
    payload: int, mss: int, *, ipv6: bool = False, flags: int = 0x18
) -> tuple[bytes, bytes]:
    """Return virtio header and super-packet of numbers about to wrap."""
    src, dst = ("fd00::1", "fd00::2") if ipv6 else ("10.0.0.1", "10.0.0.2")
    body = bytes(n * 7 % 251 for n in range(payload))
    packet = Tcp(src=src, dst=dst, payload=body, flags=flags, seq=0xFFFFFF00, ident=0xFFFE).pack()
    start = 40 if ipv6 else 20
    return VirtioHeader(1, 4 if ipv6 else 1, 1, mss, start, 16).pack(), packet


def in_a_row(bursts: int, mss: int, count: int, **fields: Any) -> list[SuperPacket]:
    """Return super-packets of one stream, each the next, without a shorter last segment."""
    found = []
    ipv6 = ":" in fields.get("src", "")
    for number in range(bursts):
        packet = Tcp(
            **{"flags": 0x10, "seq": 7 + number * count * mss, "ident": 9 + number * count}
            | fields,
            payload=bytes((n + number) % 251 for n in range(count * mss)),
        ).pack()
        header = VirtioHeader(1, 4 if ipv6 else 1, 0, mss, 40 if ipv6 else 20, 16)
        source = inspect(memoryview(bytearray(packet)), header)
        assert source is not None
        found.append(source)
    return found
