"""Packets that change the IP version, against checksums worked out anew."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.datapath.checksum import ones_sum, pseudo_sum
from node.via.translate import destination_in_ipv6, to_ipv4, to_ipv6

PREFIX = bytes.fromhex("fd7a115ca1e00b1a00000007")
HERE6 = ipaddress.IPv6Address("64:ff9b:1::c000:1").packed
LAN = ipaddress.IPv4Address("10.77.0.2").packed
STAND_IN = ipaddress.IPv4Address("192.0.0.1").packed
TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
AT = {TCP: 16, UDP: 6, ICMP: 2, ICMPV6: 2}


def segment(protocol: int, data: bytes) -> bytearray:
    """Return a transport packet without its checksum."""
    heads = {
        TCP: struct.pack("!HHIIBBHHH", 40000, 443, 7, 9, 0x50, 0x18, 512, 0, 0),
        UDP: struct.pack("!HHHH", 40000, 53, 8 + len(data), 0),
        ICMP: struct.pack("!BBHHH", 8, 0, 0, 5, 1),
        ICMPV6: struct.pack("!BBHHH", 128, 0, 0, 5, 1),
    }
    return bytearray(heads[protocol] + data)


def sealed(protocol: int, payload: bytearray, addresses: bytes) -> bytearray:
    """Write a checksum."""
    total = ones_sum(payload)
    if addresses:
        total += pseudo_sum(addresses, protocol, len(payload))
    checksum = (65535 - total % 65535) % 65535
    if protocol == UDP:
        checksum = checksum or 65535
    payload[AT[protocol] : AT[protocol] + 2] = checksum.to_bytes(2, "big")
    return payload


def ipv6(protocol: int, data: bytes = b"hello") -> bytes:
    addresses = HERE6 + PREFIX + LAN
    payload = sealed(protocol, segment(protocol, data), addresses)
    return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 63) + addresses + payload


def ipv4(protocol: int, data: bytes = b"hello", fragment: int = 0x4000) -> bytes:
    addresses = LAN + STAND_IN
    payload = sealed(protocol, segment(protocol, data), b"" if protocol == ICMP else addresses)
    head = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(payload), 1, fragment, 63, protocol)
    return head + b"\0\0" + addresses + payload


def is_sound(packet: bytes) -> bool:
    """Whether a packet's own lengths and checksums fit."""
    if packet[0] >> 4 == 4:
        size, protocol, addresses = len(packet) - 20, packet[9], packet[12:20]
        payload = packet[20:]
        if ones_sum(packet[:20]) % 65535 or struct.unpack_from("!H", packet, 2)[0] != len(packet):
            return False
    else:
        size, protocol, addresses = len(packet) - 40, packet[6], packet[8:40]
        payload = packet[40:]
        if struct.unpack_from("!H", packet, 4)[0] != size:
            return False
    total = ones_sum(payload)
    if protocol != ICMP:
        total += pseudo_sum(addresses, protocol, size)
    return total % 65535 == 0


@given(st.sampled_from([TCP, UDP, ICMPV6]), st.binary(max_size=64))
def test_way_in_keeps_the_payload_and_its_checksum_right(protocol: int, data: bytes) -> None:
    made = to_ipv4(ipv6(protocol, data), STAND_IN)
    assert made is not None
    assert is_sound(made)
    assert (made[12:16], made[16:20]) == (STAND_IN, LAN)
    assert made.endswith(data)
    assert made[9] == (ICMP if protocol == ICMPV6 else protocol)


@given(st.sampled_from([TCP, UDP, ICMP]), st.binary(max_size=64))
def test_way_back_keeps_the_payload_and_its_checksum_right(protocol: int, data: bytes) -> None:
    made = to_ipv6(ipv4(protocol, data), PREFIX, HERE6)
    assert made is not None
    assert is_sound(made)
    assert (made[8:24], made[24:40]) == (PREFIX + LAN, HERE6)
    assert made.endswith(data)


def test_echo_becomes_an_echo_and_its_answer_an_answer() -> None:
    made = to_ipv4(ipv6(ICMPV6), STAND_IN)
    assert made is not None
    assert made[20] == 8
    back = to_ipv6(ipv4(ICMP), PREFIX, HERE6)
    assert back is not None
    assert back[40] == 128


def test_udp_without_a_checksum_gets_one() -> None:
    packet = bytearray(ipv4(UDP))
    packet[26:28] = b"\0\0"
    made = to_ipv6(bytes(packet), PREFIX, HERE6)
    assert made is not None
    assert is_sound(made)


def test_wrong_checksum_stays_wrong() -> None:
    packet = bytearray(ipv6(TCP))
    packet[-1] ^= 1
    made = to_ipv4(bytes(packet), STAND_IN)
    assert made is not None
    assert not is_sound(made)


@pytest.mark.parametrize(
    "packet",
    [b"", b"\x60", ipv6(TCP)[:50], ipv6(47) if 47 in AT else ipv6(TCP)[:40], ipv4(TCP)],
)
def test_what_is_no_whole_ipv6_packet_is_left(packet: bytes) -> None:
    assert to_ipv4(packet, STAND_IN) is None


@pytest.mark.parametrize(
    "packet", [b"", b"\x45", ipv4(TCP)[:30], ipv4(TCP, fragment=0x2000), ipv4(UDP, fragment=3)]
)
def test_fragments_and_pieces_are_left(packet: bytes) -> None:
    assert to_ipv6(packet, PREFIX, HERE6) is None


def test_other_icmp_is_left() -> None:
    packet = bytearray(ipv6(ICMPV6))
    packet[40] = 135
    assert to_ipv4(bytes(packet), STAND_IN) is None
    unreachable = bytearray(ipv4(ICMP))
    unreachable[20] = 3
    assert to_ipv6(bytes(unreachable), PREFIX, HERE6) is None


def test_destination_of_anything_else_is_nothing() -> None:
    assert destination_in_ipv6(ipv6(TCP)) == PREFIX + LAN
    assert destination_in_ipv6(ipv4(TCP)) == b""
    assert destination_in_ipv6(b"") == b""
