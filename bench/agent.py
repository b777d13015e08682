"""How heavy and how quick an agent is: `python -m bench.agent [--json]`.

Runs the demo's network and prints medians for one agent: memory while idle (RSS, and PSS, which
counts what processes share once), CPU that the imports of an agent and of `postern status` take,
the time from the start of a stopped agent to its first answered ping, and the time from `up` to
the first byte of a TCP connection. Needs root on Linux. Times depend on the machine and its load,
which is printed; CPU seconds depend on it less.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from node.demo.lab import Lab, why_not
from node.demo.network import MEMBERS, Network, postern, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 3
HOST, OTHER, PORT = "ops", "production", 443


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    why = why_not()
    if why is not None:
        print(f"bench.agent: {why}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as directory, Lab(Path(directory)) as lab:
        network = Network(lab)
        network.start_servers()
        network.join()
        found = measure(network)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        for name, value in found.items():
            print(f"{name:<32} {value}")
    return 0


def measure(network: Network) -> dict[str, object]:
    network.connect(HOST, OTHER, PORT)
    idle = [memory_mib(network, member.host) for member in MEMBERS]
    return {
        "nodes": len(MEMBERS),
        "rounds": ROUNDS,
        "load_before": round(os.getloadavg()[0], 1),
        "idle_rss_mib": round(statistics.median(each["Rss"] for each in idle), 1),
        "idle_pss_mib": round(statistics.median(each["Pss"] for each in idle), 1),
        "agent_import_cpu_s": median(lambda: import_cpu_s("node.agent.daemon")),
        "status_import_cpu_s": median(lambda: import_cpu_s("node.cli.status")),
        "start_to_first_ping_s": median(lambda: start_to_ping(network)),
        "up_to_first_byte_s": median(lambda: up_to_byte(network)),
    }


def median(run: Callable[[], float]) -> float:
    return round(statistics.median(run() for _ in range(ROUNDS)), 2)


def memory_mib(network: Network, host: str) -> dict[str, float]:
    """Return `Rss` and `Pss` of a host's agent."""
    # The process that was started is `ip netns exec`, which becomes the agent.
    rollup = Path(f"/proc/{network.agents[host].pid}/smaps_rollup").read_text()
    fields = (line.split() for line in rollup.splitlines()[1:])
    sizes = {words[0].rstrip(":"): int(words[1]) / 1024 for words in fields}
    return {name: sizes[name] for name in ("Rss", "Pss")}


def import_cpu_s(module: str) -> float:
    """Return the CPU seconds of a fresh interpreter that imports one module as commands do."""
    script = f"import gc; gc.disable(); import time, {module}; print(time.process_time())"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def start_to_ping(network: Network) -> float:
    network.lab.stop(network.agents[HOST])
    began = time.monotonic()
    network.start_agent(HOST)
    wait_until(lambda: network.status(HOST)["BackendState"] == "Running", "running")
    ping = ("ping", "-c", "1", "-W", "1", network.addresses[OTHER])
    wait_until(lambda: "1 received" in attempt(network, *ping), "the ping")
    return time.monotonic() - began


def attempt(network: Network, *command: str) -> str:
    return network.lab.run(HOST, "sh", "-c", f"{' '.join(command)} || true")


def up_to_byte(network: Network) -> float:
    state = str(network.state(HOST))
    network.lab.run(HOST, *postern("down", "--state-dir", state))
    began = time.monotonic()
    network.lab.run(HOST, *postern("up", "--state-dir", state))
    wait_until(lambda: network.connect(HOST, OTHER, PORT, 1.0) == f"open {OTHER}", "the connection")
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
