"""TCP resets towards the local side, for flows that a new filter cut (RFC 9293 3.10.7).

A reset is believed when its sequence number is exactly the next one the receiver expects
(RFC 5961), which is the acknowledgement number that the receiver sent last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.datapath.checksum import ones_sum, pseudo_sum, set_ipv4_checksum, tcp_checksum
from node.datapath.decode import TCP

if TYPE_CHECKING:
    from engine.evaluate.flow import PacketHeader

_RST_ACK = 0x14
_TTL = 64
_HEADER = 20


def reset_to_local(outbound: PacketHeader, acknowledged: bytes, next_sequence: bytes) -> bytes:
    """Return a reset that seems to come from the remote end.

    `outbound` is a header of the flow in the local side's direction; `acknowledged` the four bytes
    of acknowledgement that the local side sent last; `next_sequence` the sequence it used last.
    """
    segment = bytearray(_HEADER)
    segment[0:2] = outbound.dst_port.to_bytes(2, "big")
    segment[2:4] = outbound.src_port.to_bytes(2, "big")
    segment[4:8] = acknowledged
    segment[8:12] = next_sequence
    segment[12] = _HEADER // 4 << 4
    segment[13] = _RST_ACK
    size = 4 if outbound.version == 4 else 16
    addresses = outbound.dst.to_bytes(size, "big") + outbound.src.to_bytes(size, "big")
    total = pseudo_sum(addresses, TCP, _HEADER) + ones_sum(segment)
    segment[16:18] = tcp_checksum(total).to_bytes(2, "big")
    if outbound.version == 6:
        head = b"\x60\0\0\0" + _HEADER.to_bytes(2, "big") + bytes([TCP, _TTL])
        return head + addresses + bytes(segment)
    head4 = bytearray(b"\x45\0\0\x28\0\0\x40\0" + bytes([_TTL, TCP]) + b"\0\0" + addresses)
    set_ipv4_checksum(head4)
    return bytes(head4 + segment)
