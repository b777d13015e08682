"""Two nodes with real data paths in namespaces: what they get by relay, and what directly."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from node.demo.lab import Lab, LabError
from node.demo.network import wait_until
from tests.support import netns
from tests.support.two_nodes import A, B, TwoNodes

__all__ = ["measure", "why_not"]

IPERF_S = 30.0
WARM_UP_S = 1.0
PINGS = 20
SWITCH_S = 60.0
Measures = dict[str, float]


def why_not() -> str | None:
    """Return why nodes cannot be measured here, None if they can."""
    return netns.why_not("nft", "iperf3", "ping", "ss")


def measure(seconds: float, rounds: int) -> list[dict[str, Measures]]:
    """Alternate between the relay and the direct way; return the measures of each round."""
    with tempfile.TemporaryDirectory() as directory, Lab(Path(directory)) as lab:
        network = TwoNodes(lab)
        network.start_servers()
        network.join()
        found = []
        for number in range(rounds):
            one = {}
            network.shut_udp()
            wait_until(lambda: network.direct_way() == "", "the relay carries", SWITCH_S)
            one["nodes_relayed"] = measure_way(network, seconds)
            network.open_udp()
            wait_until(lambda: network.direct_way() != "", "a direct way", SWITCH_S)
            one["nodes_direct"] = measure_way(network, seconds)
            print(f"round {number + 1}: {one}", file=sys.stderr)
            found.append(one)
        return found


def measure_way(network: TwoNodes, seconds: float) -> Measures:
    """Measure TCP and ping through the tunnel."""
    iperf(network, WARM_UP_S)
    return {"tcp_mbps": iperf(network, seconds), "ping_ms": ping(network)}


def iperf(network: TwoNodes, seconds: float) -> float:
    """Return the received megabits a second. A run that fails is made again, by a new server.

    iperf3 counts in whole seconds, and takes less than one for no end at all.
    """
    lab, limit = network.lab, time.monotonic() + IPERF_S + 2 * seconds
    while True:
        server = lab.start(B, "iperf3", "-s", "-1", log="iperf")
        try:
            wait_until(lambda: ":5201" in lab.run(B, "ss", "-ltn"), "iperf3")
            command = ("iperf3", "-J", "-c", network.addresses[B], "-t", f"{math.ceil(seconds)}")
            said = subprocess.run(
                lab.inside(A, *command, "--connect-timeout", "5000"),
                capture_output=True, text=True, check=False, timeout=IPERF_S + seconds,
            )  # fmt: skip
            return float(json.loads(said.stdout)["end"]["sum_received"]["bits_per_second"]) / 1e6
        except (ValueError, KeyError, LabError, subprocess.TimeoutExpired) as error:
            if time.monotonic() > limit:
                raise
            print(f"bench.relay: iperf3 again, as {error!r}", file=sys.stderr)
        finally:
            lab.stop(server)


def ping(network: TwoNodes) -> float:
    """Return the median round trip in milliseconds."""
    text = network.lab.run(
        A, "ping", "-n", "-c", str(PINGS), "-i", "0.05", "-W", "5", network.addresses[B]
    )
    times = [float(part.split()[0]) for part in text.split("time=")[1:]]
    return statistics.median(times)
