"""Inner packets for tests: built plainly, and super-packets split and summed the slow way."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, replace

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

TCP = 6
UDP = 17
SCTP = 132


def ones_complement_sum(data: bytes, start: int = 0) -> int:
    """Return the textbook sum of RFC 1071."""
    data += b"\0" * (len(data) % 2)
    total = start + sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(total)


def ip_packet(src: str, dst: str, protocol: int, payload: bytes, **fields: int) -> bytes:
    """Return an IP packet; fields: ttl, tos, ident, frag (flags and offset, 16 bits)."""
    source, target = ipaddress.ip_address(src), ipaddress.ip_address(dst)
    ttl, tos = fields.get("ttl", 64), fields.get("tos", 0)
    if source.version == 6:
        head = struct.pack(">IHBB", 6 << 28 | tos << 20, len(payload), protocol, ttl)
        return head + source.packed + target.packed + payload
    head = struct.pack(
        ">BBHHHBBH",
        0x45,
        tos,
        20 + len(payload),
        fields.get("ident", 1),
        fields.get("frag", 0x4000),
        ttl,
        protocol,
        0,
    )
    head += source.packed + target.packed
    check = ~ones_complement_sum(head) & 0xFFFF
    return head[:10] + check.to_bytes(2, "big") + head[12:] + payload


def pseudo_header(src: str, dst: str, protocol: int, length: int) -> bytes:
    addresses = ipaddress.ip_address(src).packed + ipaddress.ip_address(dst).packed
    return addresses + struct.pack(">HH", protocol, length)


@dataclass(frozen=True, slots=True)
class Tcp:
    """A TCP packet in fields."""

    src: str = "10.0.0.1"
    dst: str = "10.0.0.2"
    sport: int = 40000
    dport: int = 443
    seq: int = 1000
    ack: int = 5000
    flags: int = 0x10
    window: int = 502
    options: bytes = bytes.fromhex("0101080a0000000100000002")
    payload: bytes = b""
    ttl: int = 64
    tos: int = 0
    ident: int = 1

    def segment(self) -> bytes:
        offset = (20 + len(self.options)) // 4 << 4
        head = struct.pack(
            ">HHIIBBHHH",
            self.sport,
            self.dport,
            self.seq & 0xFFFFFFFF,
            self.ack,
            offset,
            self.flags,
            self.window,
            0,
            0,
        )
        body = head + self.options + self.payload
        total = ones_complement_sum(pseudo_header(self.src, self.dst, TCP, len(body)) + body)
        return body[:16] + (~total & 0xFFFF).to_bytes(2, "big") + body[18:]

    def pack(self) -> bytes:
        return ip_packet(
            self.src, self.dst, TCP, self.segment(), ttl=self.ttl, tos=self.tos, ident=self.ident
        )

    def train(self, mss: int) -> list[bytes]:
        """Return the packets that carry this payload in pieces of `mss`."""
        pieces = [self.payload[at : at + mss] for at in range(0, len(self.payload), mss)]
        last = len(pieces) - 1
        return [
            replace(
                self,
                payload=piece,
                seq=self.seq + n * mss,
                ident=self.ident + n & 0xFFFF,
                flags=self.flags if n == last else self.flags & ~0x09,
            ).pack()
            for n, piece in enumerate(pieces)
        ]


def udp_packet(
    src: str, dst: str, sport: int, dport: int, payload: bytes, *, ident: int = 1, ttl: int = 64
) -> bytes:
    """Return a UDP packet with its checksum."""
    head = struct.pack(">HHHH", sport, dport, 8 + len(payload), 0)
    body = head + payload
    total = ones_complement_sum(pseudo_header(src, dst, UDP, len(body)) + body)
    check = (~total & 0xFFFF) or 0xFFFF
    body = body[:6] + check.to_bytes(2, "big") + body[8:]
    return ip_packet(src, dst, UDP, body, ident=ident, ttl=ttl)


def sctp_chunk(kind: int, body: bytes = b"", flags: int = 0) -> bytes:
    """Return a chunk with its padding."""
    padding = bytes(-len(body) % 4)
    return struct.pack(">BBH", kind, flags, 4 + len(body)) + body + padding


def sctp_init(initiate_tag: int, kind: int = 1) -> bytes:
    """Return an INIT chunk, or INIT ACK (2), without parameters."""
    return sctp_chunk(kind, struct.pack(">IIHHI", initiate_tag, 65536, 10, 10, 1))


def sctp_packet(
    src: str, dst: str, sport: int, dport: int, tag: int, *chunks: bytes, frag: int = 0x4000
) -> bytes:
    """Return an SCTP packet. Its checksum is zero: nothing on the way looks at it."""
    head = struct.pack(">HHII", sport, dport, tag, 0)
    return ip_packet(src, dst, SCTP, head + b"".join(chunks), frag=frag)


def split_slowly(virtio: bytes, packet: bytes) -> list[bytes]:
    """Segment a super-packet byte by byte: the oracle for the array version."""
    _, gso_type, _, size, start, offset = struct.unpack("<BBHHHH", virtio)
    is_tcp, is_ipv6 = gso_type & 0x7F != 5, packet[0] >> 4 == 6
    head = start + ((packet[start + 12] >> 4) * 4 if is_tcp else 8)
    out = []
    for n, at in enumerate(range(head, len(packet), size)):
        data = packet[at : at + size]
        one = bytearray(packet[:head] + data)
        if is_ipv6:
            one[4:6] = (len(one) - 40).to_bytes(2, "big")
        else:
            one[2:4] = len(one).to_bytes(2, "big")
            ident = int.from_bytes(packet[4:6], "big") + n & 0xFFFF
            one[4:6] = ident.to_bytes(2, "big")
            one[10:12] = bytes(2)
            one[10:12] = (~ones_complement_sum(bytes(one[:start])) & 0xFFFF).to_bytes(2, "big")
        if is_tcp:
            seq = int.from_bytes(packet[start + 4 : start + 8], "big") + n * size
            one[start + 4 : start + 8] = (seq & 0xFFFFFFFF).to_bytes(4, "big")
            if at + size < len(packet):
                one[start + 13] &= ~0x09 & 0xFF
            if n:
                one[start + 13] &= 0x7F
        else:
            one[start + 4 : start + 6] = (len(data) + 8).to_bytes(2, "big")
        one[start + offset : start + offset + 2] = bytes(2)
        addresses = bytes(packet[8:40] if is_ipv6 else packet[12:20])
        pseudo = addresses + struct.pack(">HH", TCP if is_tcp else UDP, len(one) - start)
        check = ~ones_complement_sum(pseudo + bytes(one[start:])) & 0xFFFF
        check = check or (0 if is_tcp else 0xFFFF)
        one[start + offset : start + offset + 2] = check.to_bytes(2, "big")
        out.append(bytes(one))
    return out
