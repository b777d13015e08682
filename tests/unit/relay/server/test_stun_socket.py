"""The STUN responder on real sockets of both families."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address

import pytest

from relay import stun
from relay.server.stun_socket import StunSocket

TRANSACTION = b"transaction!"
PATIENCE_S = 10.0

needs_ipv6 = pytest.mark.skipif(
    not socket.has_dualstack_ipv6(), reason="SKIPPED LOUDLY: this machine has no IPv6"
)


async def ask(server: str, port: int, datagram: bytes) -> tuple[bytes, str, int]:
    """Ask from a socket that takes answers from anywhere; return answer, its source, our port."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    loop = asyncio.get_running_loop()
    with socket.socket(family, socket.SOCK_DGRAM) as ours:
        ours.setblocking(False)
        ours.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        await loop.sock_sendto(ours, datagram, (server, port))
        async with asyncio.timeout(PATIENCE_S):
            answer, source = await loop.sock_recvfrom(ours, 1500)
        return answer, source[0], ours.getsockname()[1]


@pytest.mark.parametrize(
    ("listen", "server", "length"),
    [
        ("0.0.0.0", "127.0.0.1", 32),
        # Another address of this host than the one that routing would choose to answer from.
        ("0.0.0.0", "127.0.0.77", 32),
        pytest.param("::", "127.0.0.77", 32, marks=needs_ipv6),
        pytest.param("::", "::1", 44, marks=needs_ipv6),
        pytest.param("::1", "::1", 44, marks=needs_ipv6),
    ],
)
async def test_asker_is_told_its_address_from_the_address_it_asked(
    listen: str, server: str, length: int
) -> None:
    sock = StunSocket(listen, 0)
    sock.start()
    try:
        request = stun.encode_request(TRANSACTION)
        answer, source, port = await ask(server, sock.port, request)
    finally:
        sock.close()
    own = ip_address("::1" if ":" in server else "127.0.0.1")
    assert stun.parse_response(answer) == stun.Binding(TRANSACTION, own, port)
    assert len(answer) == length
    assert source == server
    assert sock.families == {"ipv4": own.version == 4, "ipv6": own.version == 6}


async def test_anything_else_is_met_with_silence() -> None:
    sock = StunSocket("127.0.0.1", 0)
    sock.start()
    loop = asyncio.get_running_loop()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
            ours.setblocking(False)
            ours.bind(("127.0.0.1", 0))
            plain = bytes.fromhex("000100002112a442") + TRANSACTION
            for datagram in (b"", b"x" * 1400, plain, stun.encode_request(TRANSACTION)):
                await loop.sock_sendto(ours, datagram, ("127.0.0.1", sock.port))
            async with asyncio.timeout(PATIENCE_S):
                answer = await loop.sock_recv(ours, 1500)
            assert stun.parse_response(answer).transaction == TRANSACTION
            # The order is kept, so whatever came before the answered one had no answer.
            with pytest.raises(BlockingIOError):
                ours.recv(1500)
    finally:
        sock.close()
    assert sock.requests == {"success": 1, "not_stun": 3, "read_error": 0, "write_error": 0}
