"""How fast the relay forwards, against a plain TCP forwarder, and what nodes get through it.

Run `python -m bench.relay [--json] [--seconds S] [--rounds R] [--only NAME,...]`. Each round
measures, one after the other and on loopback, a plain forwarder (socat), the relay with 2, 100 and
1,000 clients, and fast pairs with and without stalled readers beside them; then, between two nodes
in namespaces, TCP and ping through the tunnel, by relay and directly. Ratios are medians of those
within each round: absolute numbers mean little on a shared machine, and what disturbs one side of
a ratio disturbs the other. The nodes need root and iperf3; without, that part is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import _relay_nodes
from bench._relay_load import (
    FORK,
    FRAME_BYTES,
    HOST,
    MANY_WINDOW_BYTES,
    PACKET_BYTES,
    SINGLE_WINDOW_BYTES,
    WARM_UP,
    Pair,
    batch_for,
    cpu_seconds,
    frames_per_second,
    join,
    relay_pairs,
    relay_server,
    resident_bytes,
    tcp_forwarder,
)
from bench.datapath import favour_this_session

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

CLIENTS = (2, 100, 1000)
FAST_PAIRS = 4
SLOW_READERS = 8
STALL_S = 30.0
Measures = dict[str, float]


def measure_flow(pairs: list[Pair], pid: int, window_bytes: int, seconds: float) -> Measures:
    """Measure whatever joins the pairs and has this process id."""
    before = cpu_seconds(pid)
    rate = frames_per_second(pairs, window_bytes, seconds)
    # The warm-up before the measurement is a quarter as long and cost its share.
    frames = rate * seconds * (1 + WARM_UP)
    cost = (cpu_seconds(pid) - before) / max(frames, 1) * 1e6
    return {"frames_per_second": rate, "cpu_microseconds_per_frame": cost}


def measure_forwarder(seconds: float) -> Measures:
    """One pair through socat: the limit of what forwarding on one core can be."""
    with tcp_forwarder(batch_for(bytes(32), SINGLE_WINDOW_BYTES // 16)) as (pair, pid):
        return measure_flow([pair], pid, SINGLE_WINDOW_BYTES, seconds)


def measure_clients(directory: Path, clients: int, seconds: float) -> Measures:
    """All clients connected, half of them sending to the other half."""
    window = SINGLE_WINDOW_BYTES if clients == 2 else MANY_WINDOW_BYTES
    with relay_server(directory) as (port, pid):
        before = resident_bytes(pid)
        pairs = relay_pairs(port, clients // 2, window)
        idle = resident_bytes(pid)
        found = measure_flow(pairs, pid, window, seconds)
        close(pair.sender for pair in pairs)
        close(pair.receiver for pair in pairs)
        return found | {
            "idle_bytes_per_client": (idle - before) / clients,
            "busy_bytes_per_client": (resident_bytes(pid) - before) / clients,
        }


def close(sockets: Any) -> None:
    for sock in sockets:
        sock.close()


def measure_slow_readers(directory: Path, seconds: float) -> Measures:
    """Fast pairs alone, and beside clients that are sent to and do not read."""
    # Without the write timeout, which would end the slow readers before they are measured.
    with relay_server(directory, "--tcp-write-timeout", "0") as (port, _pid):
        pairs = relay_pairs(port, FAST_PAIRS, MANY_WINDOW_BYTES)
        alone = frames_per_second(pairs, MANY_WINDOW_BYTES, seconds)
        sender, _key = join(port)
        readers = [join(port, room_bytes=4096) for _ in range(SLOW_READERS)]
        stall(port, sender, [key for _sock, key in readers])
        stop = FORK.Event()
        keys = [key for _sock, key in readers]
        drip = FORK.Process(target=drip_forever, args=(sender, keys, stop), daemon=True)
        drip.start()
        beside = frames_per_second(pairs, MANY_WINDOW_BYTES, seconds)
        stop.set()
        drip.join()
        dropped = dropped_packets(port)
    return {"alone": alone, "beside_slow_readers": beside, "dropped_for_slow_readers": dropped}


def stall(port: int, sender: socket.socket, keys: list[bytes]) -> None:
    """Send to readers that do not read until the relay drops packets of every one of them."""
    for key in keys:
        before, sent = dropped_packets(port), 0
        while dropped_packets(port) == before:
            batch = batch_for(key, 1 << 20)
            sender.sendall(batch)
            sent += len(batch)
            if sent > 1 << 28:
                raise SystemExit("a reader that does not read is not stalled")


def drip_forever(sender: socket.socket, keys: list[bytes], stop: Any) -> None:
    """Keep sending a little to every slow reader."""
    while not stop.wait(0.01):
        for key in keys:
            sender.sendall(batch_for(key, FRAME_BYTES))


def dropped_packets(port: int) -> float:
    """Return how many packets the relay threw away because a client did not read."""
    with urllib.request.urlopen(f"http://{HOST}:{port}/debug/metrics", timeout=STALL_S) as page:
        text: str = page.read().decode()
    name = 'derp_packets_dropped_total{kind="other",reason="queue_head"}'
    [line] = [line for line in text.splitlines() if line.startswith(name)]
    return float(line.split()[-1])


def measure_round(directory: Path, seconds: float, only: set[str]) -> dict[str, Measures]:
    """Measure everything on loopback once."""
    found = {}
    if not only or "frames" in only:
        found["forwarder"] = measure_forwarder(seconds)
        for clients in CLIENTS:
            found[f"clients_{clients}"] = measure_clients(directory, clients, seconds)
    if not only or "slow" in only:
        found["slow_readers"] = measure_slow_readers(directory, seconds)
    return found


def ratios(rounds: list[dict[str, Measures]]) -> dict[str, float | None]:
    """Return medians of the ratios taken within each round; None for what was left out."""

    def of(name: str, metric: str, over: str, other: str = "") -> float | None:
        values = [
            one[name][metric] / one[over][other or metric]
            for one in rounds
            if name in one and over in one
        ]
        return round(statistics.median(values), 3) if values else None

    rate, cost = "frames_per_second", "cpu_microseconds_per_frame"
    return {
        "frames_vs_tcp_forwarder": of("clients_2", rate, "forwarder"),
        "cpu_per_frame_vs_tcp_forwarder": of("clients_2", cost, "forwarder"),
        "frames_100_clients_vs_tcp_forwarder": of("clients_100", rate, "forwarder"),
        "frames_1000_clients_vs_tcp_forwarder": of("clients_1000", rate, "forwarder"),
        "frames_100_clients_vs_2": of("clients_100", rate, "clients_2"),
        "frames_1000_clients_vs_2": of("clients_1000", rate, "clients_2"),
        "beside_slow_readers_vs_alone": of(
            "slow_readers", "beside_slow_readers", "slow_readers", "alone"
        ),
        "nodes_tcp_relayed_vs_direct": of("nodes_relayed", "tcp_mbps", "nodes_direct"),
        "nodes_ping_relayed_vs_direct": of("nodes_relayed", "ping_ms", "nodes_direct"),
    }


def medians(rounds: list[dict[str, Measures]]) -> dict[str, Measures]:
    """Return the median of each measure."""
    names = {name: one[name].keys() for one in rounds for name in one}
    return {
        name: {
            metric: round(statistics.median(one[name][metric] for one in rounds if name in one), 3)
            for metric in metrics
        }
        for name, metrics in names.items()
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Print the report."""
    parser = argparse.ArgumentParser(prog="python -m bench.relay", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object and nothing else")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured")
    parser.add_argument("--only", default="", help="of frames, slow and nodes, comma-separated")
    arguments = parser.parse_args(argv)
    if shutil.which("socat") is None:
        print("bench.relay needs socat, the forwarder to compare with", file=sys.stderr)
        return 1
    if os.geteuid() == 0:
        favour_this_session()
    only = set(filter(None, arguments.only.split(",")))
    rounds: list[dict[str, Measures]] = []
    with tempfile.TemporaryDirectory() as name:
        for number in range(arguments.rounds):
            rounds.append(measure_round(Path(name), arguments.seconds, only))
            print(f"round {number + 1}: {rounds[-1]}", file=sys.stderr)
    why = _relay_nodes.why_not()
    if why is not None:
        print(f"bench.relay: no nodes measured: {why}", file=sys.stderr)
    elif not only or "nodes" in only:
        found = _relay_nodes.measure(arguments.seconds, arguments.rounds)
        rounds = [one | nodes for one, nodes in zip(rounds, found, strict=True)]
    result = {
        "packet_bytes": PACKET_BYTES,
        "ratios": ratios(rounds),
        "medians": medians(rounds),
        "machine": {"cores": os.cpu_count(), "load_average": os.getloadavg()[0]},
    }
    print(json.dumps(result, indent=None if arguments.json else 2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
