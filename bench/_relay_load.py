"""Load on a relay or a plain forwarder: pairs of raw clients, and the servers they go through.

Senders keep a bounded number of bytes in flight, so nothing is measured while it throws packets
away. Server, senders and receivers are processes of their own.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from control.keys import NodePrivate
from relay.frames import SendPacket, encode
from relay.session_client import ClientOptions, ClientSession, Phase

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HOST = "127.0.0.1"
PACKET_BYTES = 1312
"""A full WireGuard transport message of a tunnel with MTU 1280."""
SINGLE_WINDOW_BYTES = 1 << 20
MANY_WINDOW_BYTES = 64 * 1024
READ_BYTES = 256 * 1024
WARM_UP = 0.25
SERVE = "import sys; from relay.cli import main; sys.exit(main())"
FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Pair:
    """One flow: where the sender writes which batch, and where the receiver reads."""

    sender: socket.socket
    receiver: socket.socket
    batch: bytes


def join(port: int, room_bytes: int = 0) -> tuple[socket.socket, bytes]:
    """Connect one client and wait for its welcome; return the raw socket and its key.

    `room_bytes` bounds what the kernel takes for a client that does not read.
    """
    private = NodePrivate.generate(os.urandom)
    session = ClientSession(private, ClientOptions(host=HOST), entropy=os.urandom, now=0)
    sock = socket.socket()
    if room_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room_bytes)
    sock.connect((HOST, port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while session.phase is not Phase.OPEN:
        sock.sendall(b"".join(session.outbox.take()))
        session.receive(sock.recv(4096), 0)
        if session.phase is Phase.CLOSED:
            raise SystemExit(f"the relay refused a client: {session.next_event()}")
    return sock, private.public.raw


def batch_for(key: bytes, size_bytes: int) -> bytes:
    """Return whole SendPacket frames for `key`, about `size_bytes` of them."""
    frame = encode(SendPacket(key, bytes(PACKET_BYTES)))
    return frame * max(1, size_bytes // len(frame))


FRAME_BYTES = len(batch_for(bytes(32), 1))


def relay_pairs(port: int, count: int, window_bytes: int) -> list[Pair]:
    """Connect `count` pairs of clients."""
    pairs = []
    for _ in range(count):
        sender, _key = join(port)
        receiver, key = join(port)
        pairs.append(Pair(sender, receiver, batch_for(key, min(READ_BYTES, window_bytes) // 4)))
    return pairs


def receive_forever(pairs: Sequence[Pair], received: Any) -> None:
    """Count what arrives for each pair."""
    poll = select.epoll()
    index = {}
    for number, pair in enumerate(pairs):
        pair.receiver.setblocking(False)  # noqa: FBT003  no keyword in the standard library
        poll.register(pair.receiver, select.EPOLLIN)
        index[pair.receiver.fileno()] = (number, pair.receiver)
    buffer = bytearray(READ_BYTES)
    while True:
        for fileno, _mask in poll.poll():
            number, sock = index[fileno]
            count = sock.recv_into(buffer)
            if not count:
                return
            received[number] += count


def send_for(
    pairs: Sequence[Pair], received: Any, window_bytes: int, seconds: float
) -> tuple[int, float]:
    """Keep all pairs full for a while; return bytes that arrived and seconds that passed."""
    base = list(received)
    sent = [0] * len(pairs)
    start = time.perf_counter()
    end = start + seconds
    while time.perf_counter() < end:
        idle = True
        for number, pair in enumerate(pairs):
            in_flight = sent[number] - (received[number] - base[number])
            if in_flight + len(pair.batch) <= window_bytes:
                pair.sender.sendall(pair.batch)
                sent[number] += len(pair.batch)
                idle = False
        if idle:
            time.sleep(0)
    elapsed = time.perf_counter() - start
    return sum(received) - sum(base), elapsed


def frames_per_second(pairs: Sequence[Pair], window_bytes: int, seconds: float) -> float:
    """Return frames a second through whatever joins the pairs."""
    received = FORK.Array("Q", len(pairs), lock=False)
    reader = FORK.Process(target=receive_forever, args=(pairs, received), daemon=True)
    reader.start()
    try:
        send_for(pairs, received, window_bytes, seconds * WARM_UP)
        count, elapsed = send_for(pairs, received, window_bytes, seconds)
    finally:
        reader.kill()
        reader.join()
    return count / FRAME_BYTES / elapsed


@contextlib.contextmanager
def relay_server(directory: Path, *flags: str) -> Iterator[tuple[int, int]]:
    """Run a relay in its own process; yields its port and process id."""
    port = free_port()
    command = [sys.executable, "-c", SERVE, "serve", "--plain", "--admit-everyone"]
    command += ["--listen", f"{HOST}:{port}", "--stun-port", "-1", "--drain", "0"]
    command += ["--key-file", str(directory / "key.json"), *flags]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        if server.stderr is None or "serving" not in server.stderr.readline():
            raise SystemExit("the relay did not start")
        yield port, server.pid
    finally:
        server.terminate()
        server.wait()


@contextlib.contextmanager
def tcp_forwarder(batch: bytes) -> Iterator[tuple[Pair, int]]:
    """Join one pair by socat instead of a relay."""
    sink = socket.create_server((HOST, 0))
    port = free_port()
    target = f"TCP:{HOST}:{sink.getsockname()[1]},nodelay"
    command = ["socat", "-b", str(READ_BYTES), f"TCP-LISTEN:{port},nodelay,bind={HOST}", target]
    forwarder = subprocess.Popen(command)
    try:
        sender = connect_when_ready(port)
        receiver, _peer = sink.accept()
        with sender, receiver:
            yield Pair(sender, receiver, batch), forwarder.pid
    finally:
        forwarder.terminate()
        forwarder.wait()
        sink.close()


def connect_when_ready(port: int) -> socket.socket:
    """Connect as soon as somebody listens, within five seconds."""
    end = time.monotonic() + 5
    while True:
        try:
            return socket.create_connection((HOST, port))
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def cpu_seconds(pid: int) -> float:
    """Return the processor time a process used so far, in user and kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Return the memory a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
