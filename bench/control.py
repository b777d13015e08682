"""How fast policy, joins and tags reach nodes, and what a node costs the control server.

`python -m bench.control [--json] [--sizes 200,1000,5000]`. One server process, a few processes
with a connection for each node. Nodes sit in groups of ten that see one another; half of the
groups are `tag:half`, and the policy change is one port of the one rule that concerns those. All
processes read the same monotonic clock: a push is counted from before the policy is sent to the
server, a join from before the node registers, until a node has decoded the message that says so.
In a storm every client drops its connection and all connect again at once. CPU is the server's
own, from its accounts; that of the clients is told apart, since they share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench._control_fleet import FleetOrder, run_fleet, seeded_key
from control.cli.client import ApiClient
from control.keys import DiscoPublic, LockPublic, MachinePrivate, NodePrivate
from control.store import queries
from control.store.database import Database
from control.store.records import NodeRecord, RegisterMethod
from control.wire import Hostinfo

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection

GROUP = 10
FLEETS = 2
PUSHES = 5
JOINS = 10
PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class SizeResult:
    """What one size gave."""

    nodes: int
    connect_s: float
    push_p50_s: float
    push_p99_s: float
    push_affected: int
    unaffected_messages: int
    join_p99_s: float
    tag_p99_s: float
    cpu_push_s: float
    """CPU of the server for one push."""
    cpu_join_s: float
    """CPU of the server for one join."""
    cpu_clients_push_s: float
    """CPU of all clients for one push."""
    storm_p99_s: float
    """From the loss of all connections until a node had its map again."""
    storm_shed: int
    """Connections that the server ended in the storm before their first map, to be tried again:
    all come from one address here, of which only so many may be unproven at a time."""
    cpu_storm_s: float
    """CPU of the server for the whole storm."""
    memory_per_node_kib: float


def policy_text(groups: int, port: int) -> str:
    """Return the policy: each group sees itself, and admins reach `tag:half` on one port."""
    tags: dict[str, list[str]] = {f"tag:g{n}": [] for n in range(groups)}
    rules: list[dict[str, Any]] = [
        {"action": "accept", "src": [tag], "dst": [f"{tag}:80"]} for tag in tags
    ]
    tags |= {"tag:half": [], "tag:admin": [], "tag:moved": []}
    rules.append({"action": "accept", "src": ["tag:admin"], "dst": [f"tag:half:{port}"]})
    return json.dumps({"tagOwners": tags, "acls": rules})


async def fill(url: str, count: int) -> None:
    """Put the nodes into a new database."""
    database = await Database.open(url)
    now = datetime.now(UTC)
    async with database.writing() as connection:
        for number in range(1, count + 1):
            group = (number - 1) // GROUP
            more = ("tag:half",) if group % 2 else ()
            # Somebody must be the source of the rule that changes.
            more = ("tag:admin",) if number == 1 else more
            await queries.add_node(
                connection,
                NodeRecord(
                    id=number,
                    machine_key=MachinePrivate(seeded_key("machine", number)).public,
                    node_key=NodePrivate(seeded_key("node", number)).public,
                    disco_key=DiscoPublic.zero(),
                    nl_key=LockPublic.zero(),
                    user_id=None,
                    auth_key_id=None,
                    register_method=RegisterMethod.CLI,
                    given_name=f"n{number}",
                    is_renamed=True,
                    ipv4=IPv4Address("100.64.0.0") + number,
                    ipv6=IPv6Address("fd7a:115c:a1e0::") + number,
                    tags=tuple(sorted((f"tag:g{group}", *more))),
                    approved_routes=(),
                    hostinfo=Hostinfo({"Hostname": f"n{number}", "OS": "linux"}),
                    endpoints=(),
                    home_derp=900,
                    capability_version=113,
                    is_ephemeral=False,
                    is_authorized=True,
                    expires_at=None,
                    last_seen=None,
                    created_at=now,
                ),
            )
        text = policy_text(count // GROUP, 1)
        await queries.add_policy_version(connection, text, "bench", now)
    await database.close()


class Server:
    """The server's process and its accounts."""

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "control.sock"
        config = directory / "control.json"
        values = {
            "listen_addr": "127.0.0.1:0",
            "metrics_listen_addr": "",
            "unix_socket": str(self.socket),
            "database": f"sqlite:///{directory / 'control.db'}",
            "noise": {"private_key_path": str(directory / "noise.key")},
            "dns": {"base_domain": "tail.example"},
            "log": {"level": "error"},
            "shutdown_spread": 0,
            "register_limit": {"burst": 1_000_000, "per_second": 1_000_000},
            "connect_limit": {"burst": 1_000_000, "per_second": 1_000_000},
        }
        config.write_text(json.dumps(values))  # JSON is YAML
        self._config = config
        self._process: asyncio.subprocess.Process | None = None
        self._pid = 0
        self.port = 0

    async def start(self) -> None:
        """Start, and wait until it listens."""
        code = "import sys; from control.cli import main; sys.exit(main(sys.argv[1:]))"
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            code,
            "serve",
            "-c",
            str(self._config),
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 20,
        )
        self._pid = self._process.pid
        stderr = self._process.stderr
        while stderr is not None and (line := await stderr.readline()):
            if b"ready on port" in line:
                self.port = int(line.split()[-1])
                return
        raise RuntimeError("the server did not start")

    async def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.terminate()
            await self._process.wait()

    def cpu_s(self) -> float:
        """Return the CPU time used so far."""
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_kib(self) -> float:
        """Return the resident memory."""
        pages = int(Path(f"/proc/{self._pid}/statm").read_text().split()[1])
        return pages * PAGE / 1024


class Fleets:
    """Processes with clients; each answers orders over a pipe."""

    def __init__(self, count: int, port: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes = []
        for fleet in range(FLEETS):
            ours, theirs = context.Pipe()
            numbers = list(range(1 + fleet, count + 1, FLEETS))
            process = context.Process(target=run_fleet, args=(theirs, numbers, port), daemon=True)
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)

    async def ask(self, order: FleetOrder, **values: Any) -> list[Any]:
        """Give every fleet an order and return the answers."""
        for pipe in self._pipes:
            pipe.send((order, values))
        return [await asyncio.to_thread(pipe.recv) for pipe in self._pipes]

    def stop(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.terminate()
            process.join()


def p(values: Sequence[float], share: float) -> float:
    """Return a percentile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


async def call(server: Server, method: str, *path: object, **body: object) -> Any:
    """Ask the server over its local socket."""
    options = argparse.Namespace(address=None, socket=server.socket, config=None)

    def send() -> Any:
        with ApiClient.of_options(options) as client:
            return client.call(method, path, body=body)

    return await asyncio.to_thread(send)


async def measure(count: int, directory: Path) -> SizeResult:
    """Measure one size."""
    await fill(f"sqlite:///{directory / 'control.db'}", count)
    server = Server(directory)
    await server.start()
    fleets = Fleets(count, server.port)
    try:
        await fleets.ask(FleetOrder.READY)
        empty_kib, began = server.memory_kib(), time.monotonic()
        await fleets.ask(FleetOrder.CONNECT)
        connect_s = time.monotonic() - began
        await fleets.ask(FleetOrder.SETTLE)
        memory = (server.memory_kib() - empty_kib) / count
        groups = count // GROUP
        affected = [n for n in range(1, count + 1) if (n - 1) // GROUP % 2]
        latencies: list[float] = []
        stray, cpu = 0, server.cpu_s()
        cpu_clients = sum(await fleets.ask(FleetOrder.CPU))
        for push in range(PUSHES):
            port = 1000 + push
            await fleets.ask(FleetOrder.WATCH, text=f'"First":{port},', numbers=affected)
            began = time.monotonic()
            await call(server, "PUT", "policy", policy=policy_text(groups, port))
            for arrivals, others in await fleets.ask(FleetOrder.ARRIVALS):
                latencies.extend(arrived - began for arrived in arrivals)
                stray += others
        cpu_push_s = (server.cpu_s() - cpu) / PUSHES
        cpu_clients_push_s = (sum(await fleets.ask(FleetOrder.CPU)) - cpu_clients) / PUSHES
        joins: list[float] = []
        tags: list[float] = []
        cpu = server.cpu_s()
        for join in range(JOINS):
            name = f"joiner{join}"
            group = join % groups
            key = (
                await call(server, "POST", "preauthkey", aclTags=[f"tag:g{group}"], reusable=False)
            )["preAuthKey"]["key"]
            watchers = list(range(group * GROUP + 1, group * GROUP + GROUP + 1))
            await fleets.ask(
                FleetOrder.WATCH, text=f'"Name":"{name}.tail.example."', numbers=watchers
            )
            began, *_ = [t for t in await fleets.ask(FleetOrder.JOIN, name=name, key=key) if t]
            for arrivals, _ in await fleets.ask(FleetOrder.ARRIVALS):
                joins.extend(arrived - began for arrived in arrivals)
        cpu_join_s = (server.cpu_s() - cpu) / JOINS
        for move in range(JOINS):
            group = (2 * move + 1) % groups
            number = group * GROUP + 1
            watchers = list(range(group * GROUP + 2, group * GROUP + GROUP + 1))
            await fleets.ask(FleetOrder.WATCH, text=f'"PeersRemoved":[{number}]', numbers=watchers)
            began = time.monotonic()
            await call(server, "POST", "node", number, "tags", tags=["tag:moved"])
            for arrivals, _ in await fleets.ask(FleetOrder.ARRIVALS):
                tags.extend(arrived - began for arrived in arrivals)
        cpu = server.cpu_s()
        storms: list[float] = []
        shed = 0
        for arrived, turned_away in await fleets.ask(FleetOrder.RECONNECT):
            storms.extend(arrived)
            shed += turned_away
        await fleets.ask(FleetOrder.SETTLE)
        cpu_storm_s = server.cpu_s() - cpu
    finally:
        fleets.stop()
        await server.stop()
    return SizeResult(
        nodes=count,
        connect_s=round(connect_s, 3),
        push_p50_s=round(statistics.median(latencies), 4),
        push_p99_s=round(p(latencies, 0.99), 4),
        push_affected=len(affected),
        unaffected_messages=stray,
        join_p99_s=round(p(joins, 0.99), 4),
        tag_p99_s=round(p(tags, 0.99), 4),
        cpu_push_s=round(cpu_push_s, 4),
        cpu_join_s=round(cpu_join_s, 4),
        cpu_clients_push_s=round(cpu_clients_push_s, 4),
        storm_p99_s=round(p(storms, 0.99), 3),
        storm_shed=shed,
        cpu_storm_s=round(cpu_storm_s, 3),
        memory_per_node_kib=round(memory, 1),
    )


def growth(results: Sequence[SizeResult]) -> float:
    """Return the exponent of the server's CPU for a push over the number of nodes."""
    if len(results) < 2:
        return math.nan
    xs = [math.log(result.nodes) for result in results]
    ys = [math.log(max(result.cpu_push_s, 1 / TICKS)) for result in results]
    return statistics.linear_regression(xs, ys).slope


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sizes", default="200,1000,5000")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65536)), hard))
    results = []
    for size in map(int, options.sizes.split(",")):
        with tempfile.TemporaryDirectory(prefix="postern-bench-") as directory:
            result = asyncio.run(measure(size, Path(directory)))
        results.append(result)
        if not options.json:
            print(json.dumps(asdict(result)), flush=True)
    reference = next((r for r in results if r.nodes == 1000), results[-1])
    summary = {
        "push_p99_s": reference.push_p99_s,
        "join_p99_s": reference.join_p99_s,
        "tag_p99_s": reference.tag_p99_s,
        "cpu_growth_exponent": round(growth(results), 3),
        "memory_per_node_kib": reference.memory_per_node_kib,
        "sizes": [asdict(result) for result in results],
    }
    print(json.dumps(summary, indent=None if options.json else 1))


if __name__ == "__main__":
    main()
