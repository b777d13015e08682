"""How fast the relay forwards, against a plain TCP forwarder as the limit.

Run `python -m bench.relay [--json] [--seconds S] [--rounds R]`. Everything runs on loopback:
server, senders and receivers are processes of their own. Senders keep a bounded number of bytes
in flight, so neither forwarder is measured while it throws packets away; rounds alternate
between the two, and medians are reported. Absolute numbers mean little on a shared machine: look
at `ratios`, and there at processor time a frame when the machine is busy with other things.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import select
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
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


def join(port: int, private: NodePrivate | None = None) -> tuple[socket.socket, bytes]:
    """Connect one client and wait for its welcome; return the raw socket and its key."""
    private = private or NodePrivate.generate(os.urandom)
    session = ClientSession(private, ClientOptions(host=HOST), entropy=os.urandom, now=0)
    sock = socket.create_connection((HOST, port))
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


def throughput(pairs: Sequence[Pair], window_bytes: int, seconds: float) -> float:
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
def relay_server(directory: Path) -> Iterator[tuple[int, int]]:
    """Run a relay in its own process; yields its port and process id."""
    port = free_port()
    command = [sys.executable, "-c", SERVE, "serve", "--plain", "--admit-everyone"]
    command += ["--listen", f"{HOST}:{port}", "--stun-port", "-1", "--drain", "0"]
    command += ["--key-file", str(directory / "key.json")]
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


@dataclass(frozen=True, slots=True)
class PairRate:
    """One forwarder between one pair."""

    frames_per_second: float
    cpu_microseconds_per_frame: float


def measure_pair(directory: Path, seconds: float, rounds: int) -> dict[str, PairRate]:
    """Alternate between relay and forwarder with one pair each; return medians."""
    relayed, forwarded = [], []
    for _ in range(rounds):
        with relay_server(directory) as (port, pid):
            pairs = relay_pairs(port, 1, SINGLE_WINDOW_BYTES)
            relayed.append(pair_rate(pairs[0], pid, seconds))
        with tcp_forwarder(pairs[0].batch) as (pair, pid):
            forwarded.append(pair_rate(pair, pid, seconds))
    return {"relay": median_of(relayed), "socat": median_of(forwarded)}


def pair_rate(pair: Pair, pid: int, seconds: float) -> PairRate:
    """Measure the forwarder with this process id."""
    before = cpu_seconds(pid)
    rate = throughput([pair], SINGLE_WINDOW_BYTES, seconds)
    # The warm-up before the measurement is a quarter as long and cost its share.
    frames = rate * seconds * (1 + WARM_UP)
    return PairRate(rate, (cpu_seconds(pid) - before) / frames * 1e6)


def median_of(rates: Sequence[PairRate]) -> PairRate:
    """Return the medians of both measures."""
    return PairRate(
        statistics.median(rate.frames_per_second for rate in rates),
        statistics.median(rate.cpu_microseconds_per_frame for rate in rates),
    )


def measure_clients(directory: Path, clients: int, seconds: float) -> dict[str, float]:
    """All clients connected, half of them sending to the other half."""
    with relay_server(directory) as (port, pid):
        before = resident_bytes(pid)
        pairs = relay_pairs(port, clients // 2, MANY_WINDOW_BYTES)
        idle = resident_bytes(pid)
        rate = throughput(pairs, MANY_WINDOW_BYTES, seconds)
        return {
            "frames_per_second": rate,
            "idle_bytes_per_client": (idle - before) / clients,
            "busy_bytes_per_client": (resident_bytes(pid) - before) / clients,
        }


def measure_slow_readers(directory: Path, seconds: float) -> dict[str, float]:
    """One pair, with and without clients beside it that are sent to and never read."""
    with relay_server(directory) as (port, _pid):
        pairs = relay_pairs(port, 1, SINGLE_WINDOW_BYTES)
        alone = throughput(pairs, SINGLE_WINDOW_BYTES, seconds)
        stop = FORK.Event()
        flood = FORK.Process(target=flood_slow_readers, args=(port, 20, stop), daemon=True)
        flood.start()
        beside = throughput(pairs, SINGLE_WINDOW_BYTES, seconds)
        stop.set()
        flood.join()
    return {"alone": alone, "beside_slow_readers": beside}


def flood_slow_readers(port: int, count: int, stop: Any) -> None:
    """Fill the queues of clients that never read; join again when the relay gives them up."""
    sender, _key = join(port)
    readers = [join(port) for _ in range(count)]
    while not stop.is_set():
        for _sock, key in readers:
            sender.sendall(batch_for(key, 16 * FRAME_BYTES))
        stop.wait(0.05)


def report(seconds: float, rounds: int) -> dict[str, Any]:
    """Measure everything."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        pair = measure_pair(directory, seconds, rounds)
        by_clients = {n: measure_clients(directory, n, seconds) for n in (2, 100, 1000)}
        slow = measure_slow_readers(directory, seconds)
    relay, socat = pair["relay"], pair["socat"]
    two = by_clients[2]["frames_per_second"]
    return {
        "packet_bytes": PACKET_BYTES,
        "pair": {name: asdict(rate) for name, rate in pair.items()},
        "clients": by_clients,
        "slow_readers": slow,
        "ratios": {
            "frames_vs_tcp_forwarder": relay.frames_per_second / socat.frames_per_second,
            "cpu_per_frame_vs_tcp_forwarder": relay.cpu_microseconds_per_frame
            / socat.cpu_microseconds_per_frame,
            "frames_100_clients_vs_2": by_clients[100]["frames_per_second"] / two,
            "frames_1000_clients_vs_2": by_clients[1000]["frames_per_second"] / two,
            "beside_slow_readers_vs_alone": slow["beside_slow_readers"] / slow["alone"],
        },
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Print the report."""
    parser = argparse.ArgumentParser(prog="python -m bench.relay", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="alternations relay / forwarder")
    arguments = parser.parse_args(argv)
    if shutil.which("socat") is None:
        print("bench.relay needs socat, the forwarder to compare with", file=sys.stderr)
        return 1
    found = report(arguments.seconds, arguments.rounds)
    print(json.dumps(found, indent=None if arguments.json else 2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
