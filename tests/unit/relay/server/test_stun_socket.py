"""The STUN responder on real sockets of both families."""

from __future__ import annotations

import asyncio
import gc
import socket
from ipaddress import ip_address

import pytest

from relay import stun
from relay.server.stun_socket import StunSocket, open_stun

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


@needs_ipv6
@pytest.mark.parametrize(
    ("host", "answers"),
    [("", {"127.0.0.1", "::1"}), ("127.0.0.1", {"127.0.0.1"}), ("::1", {"::1"})],
)
async def test_empty_host_answers_on_both_families_and_an_address_on_its_own(
    host: str, answers: set[str]
) -> None:
    [sock] = await open_stun(host, 0)
    try:
        heard = {server for server in ("127.0.0.1", "::1") if await answers_at(server, sock.port)}
    finally:
        sock.close()
    assert heard == answers


async def answers_at(server: str, port: int) -> bool:
    """Whether a port on loopback answers; the kernel says at once where nobody listens."""
    loop = asyncio.get_running_loop()
    with socket.socket(
        socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM
    ) as ours:
        ours.setblocking(False)
        ours.connect((server, port))
        ours.send(stun.encode_request(TRANSACTION))
        try:
            async with asyncio.timeout(PATIENCE_S):
                return bool(await loop.sock_recv(ours, 1500))
        except ConnectionRefusedError:
            return False


@needs_ipv6
async def test_name_answers_on_all_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        assert host == "relay.example"
        # Twice the same, as for several kinds of sockets.
        return [(0, 0, 0, "", (address, port)) for address in ("127.0.0.1", "::1", "::1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    opened = await open_stun("relay.example", 0)
    try:
        for sock, server in zip(opened, ("127.0.0.1", "::1"), strict=True):
            _, source, _ = await ask(server, sock.port, stun.encode_request(TRANSACTION))
            assert source == server
    finally:
        for sock in opened:
            sock.close()


async def test_address_that_is_not_ours_leaves_nothing_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", (address, port)) for address in ("127.0.0.1", "192.0.2.1")]

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "getaddrinfo", look_up)
    # A socket that is left behind is an error of its own: ResourceWarning.
    with pytest.raises(OSError, match="assign"):
        await open_stun("relay.example", 0)
    gc.collect()


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
