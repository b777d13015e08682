"""How fast policies are checked, compiled and obeyed, in units of the interpreter itself.

Run `python -m bench.policy [--json] [--devices N] [--rounds R]`. Commands are cold
processes, alternating with a bare `python -c pass` of the same interpreter; the best of the rounds
is compared with the best bare start, because everything that disturbs a run makes it longer.
(The peak of a process is never below that of this one, which starts it.)
Processor time is reported beside, as it hardly depends on what else the machine does. Absolute
figures mean little: look at `ratios`.

  check_small    `policy check` of a small example              at most   8 bare starts
  check_large    `policy check` of reference load R             at most 120
  compile_large  packet filters of all devices of load R        at most 800, in 1 GiB
  decision       one decision of a compiled packet filter       at most  20 empty calls
                 on random flows that come ten times each; `decision_first` is the
                 first time alone

Growth is the exponent of processor time over the number of devices, from loads whose output grows
with the devices and no faster.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from bench import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from engine.directory import Directory
    from engine.evaluate import Flow

BARS = {"check_small": 8, "check_large": 120, "compile_large": 800, "decision": 20}
MEMORY_BAR = 1 << 30
EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "policies"
RECEIVERS = 1_000
"""How many filters are asked; the sources of flows are all devices."""
FLOWS_PER_RECEIVER = 100
DECISIONS_PER_FLOW = 10
"""How often a flow is decided on, on average: `decision` is amortised over these, the first among
them; `decision_first` is the first alone, which has to look."""


class Run(NamedTuple):
    """One process from start to end."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds in user and system mode."""
    peak: int
    """Largest resident set in bytes."""
    code: int


class Cost(NamedTuple):
    """What some runs of one command cost."""

    best: float
    median: float
    cpu: float
    """The least."""
    peak: int
    """The most."""

    @classmethod
    def of(cls, runs: Sequence[Run]) -> Cost:
        return cls(
            min(run.wall for run in runs),
            statistics.median(run.wall for run in runs),
            min(run.cpu for run in runs),
            max(run.peak for run in runs),
        )

    def figures(self) -> dict[str, float | int]:
        return {
            "best_s": round(self.best, 6),
            "median_s": round(self.median, 6),
            "cpu_s": round(self.cpu, 6),
            "peak_bytes": self.peak,
        }


def run(command: Sequence[str], output: str = os.devnull) -> Run:
    """Run a command to its end with its output in a file."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 1, output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
    ]
    begin = time.perf_counter()
    child = os.posix_spawn(command[0], list(command), os.environ, file_actions=actions)
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - begin
    # Kibibytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    return Run(
        wall,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss * unit,
        os.waitstatus_to_exitcode(status),
    )


def policy_command(*arguments: str) -> list[str]:
    """Return the command line of the installed script, of the module where there is none."""
    script = Path(sys.executable).with_name("policy")
    start = [str(script)] if os.access(script, os.X_OK) else [sys.executable, "-m", "policy.cli"]
    return [*start, *arguments]


BARE = [sys.executable, "-c", "pass"]


def measure(commands: dict[str, list[str]], rounds: int) -> dict[str, Cost]:
    """Run commands in turn, some rounds over. Raises SystemExit where one fails."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            done = run(command)
            if done.code != 0:
                raise SystemExit(f"{' '.join(command)}: exit code {done.code}")
            runs[name].append(done)
    return {name: Cost.of(done) for name, done in runs.items()}


def small_example() -> Path:
    """Return the smallest of the example policies."""
    found = [path for path in EXAMPLE.glob("*.hujson") if not path.name.endswith(".test.hujson")]
    if not found:
        raise SystemExit(f"{EXAMPLE}: no example policies")
    return min(found, key=lambda path: (path.stat().st_size, path.name))


def compile_command(files: tuple[Path, Path]) -> list[str]:
    """Return the command that compiles every packet filter of a load."""
    policy, inventory = map(str, files)
    options = ("--inventory", inventory, "--output-format", "json", "--only", "packetFilter")
    return policy_command("compile", policy, *options)


def commands_of(small: Path, files: tuple[Path, Path]) -> dict[str, list[str]]:
    """Return the checks to measure."""
    policy, inventory = map(str, files)
    return {
        "bare": BARE,
        "check_small": policy_command("check", str(small)),
        "check_large": policy_command("check", policy),
        "check_large_with_inventory": policy_command("check", policy, "--inventory", inventory),
    }


def empty(flow: object) -> None:
    """Do nothing: the unit that decisions are measured in."""


def decisions(files: tuple[Path, Path]) -> dict[str, Any]:
    """Measure random flows to many devices, each new at first and then drawn again and again."""
    from engine.compile.network import CompiledNetwork  # noqa: PLC0415  not before processes are
    from engine.evaluate import FilterEvaluator  # noqa: PLC0415  measured: their peak counts ours
    from engine.inventory import read_inventory  # noqa: PLC0415
    from policy.load import load as load_policy  # noqa: PLC0415
    from policy.source import Source  # noqa: PLC0415

    policy = load_policy(Source.from_bytes(files[0].name, files[0].read_bytes())).policy
    if policy is None:
        raise SystemExit(f"{files[0]}: not valid")
    directory = read_inventory(files[1].read_bytes())
    network = CompiledNetwork(policy, directory)
    asked = allowed = 0
    first = amortised = call = 0.0
    rng = Random(load.SEED)  # noqa: S311  seeded load, no secret
    for node, flows in random_flows(directory, rng):
        filters = network.filters.compile(node)
        drawn = rng.choices(flows, k=len(flows) * DECISIONS_PER_FLOW)
        first += time_of(FilterEvaluator(filters).decide, flows)
        decide = FilterEvaluator(filters).decide
        amortised += time_of(decide, drawn)
        call += time_of(empty, drawn)
        asked += len(flows)
        allowed += sum(decide(flow).allowed for flow in flows)
    drawn_count = asked * DECISIONS_PER_FLOW
    return {
        "flows": asked,
        "allowed": allowed,
        "decisions": drawn_count,
        "first_s": first / asked,
        "amortised_s": amortised / drawn_count,
        "call_s": call / drawn_count,
    }


def time_of(function: Callable[[Flow], object], flows: Sequence[Flow]) -> float:
    """Return the seconds that calls with every flow take."""
    begin = time.perf_counter()
    for flow in flows:
        function(flow)
    return time.perf_counter() - begin


def random_flows(directory: Directory, rng: Random) -> Iterator[tuple[int, list[Flow]]]:
    """Yield for some devices flows to them, or to what they route, from all devices."""
    from engine.evaluate import Flow  # noqa: PLC0415  as above

    nodes = directory.nodes
    for node in nodes[:: max(1, len(nodes) // RECEIVERS)]:
        flows = set()
        for _ in range(FLOWS_PER_RECEIVER):
            version = rng.choice((4, 6))
            source = rng.choice(nodes).addresses[version == 6]
            target = node.addresses[version == 6].value
            if version == 4 and node.routes:
                target = node.routes[0].range.first + rng.randrange(4096)
            proto, port = rng.choice((6, 6, 6, 17)), rng.choice((22, 53, 80, 443, 5432, 8080, 1))
            flows.add(Flow(version, source.value, target, proto, port))
        yield node.index, list(flows)


def growth(directory: Path, largest: int, rounds: int) -> dict[str, Any]:
    """Compile loads of a quarter, a half and all of the devices."""
    steps = []
    for devices in (largest // 4, largest // 2, largest):
        files = load.write(directory, devices)
        runs = [run(compile_command(files)) for _ in range(rounds)]
        output = directory / "output.json"
        run(compile_command(files), str(output))
        cost = Cost.of(runs)
        steps.append({"devices": devices, "output_bytes": output.stat().st_size} | cost.figures())
        output.unlink()
    return {
        "steps": steps,
        "cpu_exponent": exponent([(s["devices"], s["cpu_s"]) for s in steps]),
        "output_exponent": exponent([(s["devices"], s["output_bytes"]) for s in steps]),
    }


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the line through points on logarithmic axes."""
    xs, ys = ([math.log(value) for value in axis] for axis in zip(*points, strict=True))
    return round(statistics.linear_regression(xs, ys).slope, 3)


def bench(devices: int, rounds: int) -> dict[str, Any]:
    """Measure everything."""
    small = small_example()
    with tempfile.TemporaryDirectory(prefix="postern-bench-") as name:
        directory = Path(name)
        grown = growth(directory, devices, max(1, rounds // 10))
        files = load.write(directory, devices)
        costs = measure(commands_of(small, files), rounds)
        # So much longer than the rest that it has bare starts of its own around it.
        heavy = {"bare_beside": BARE, "compile_large": compile_command(files)}
        costs |= measure(heavy, max(2, rounds // 5))
        text = files[0].read_bytes()
        decided = decisions(files)
    units = {
        "check_small": "bare",
        "check_large": "bare",
        "check_large_with_inventory": "bare",
        "compile_large": "bare_beside",
    }

    def ratios(figure: str) -> dict[str, float]:
        return {
            name: round(getattr(costs[name], figure) / getattr(costs[unit], figure), 2)
            for name, unit in units.items()
        }

    return {
        "ratios": ratios("best")
        | {
            "decision": round(decided["amortised_s"] / decided["call_s"], 2),
            "decision_first": round(decided["first_s"] / decided["call_s"], 2),
        },
        "bars": BARS | {"compile_large_peak_bytes": MEMORY_BAR},
        "ratios_of_cpu": ratios("cpu"),
        "ratios_of_medians": ratios("median"),
        "commands": {name: cost.figures() for name, cost in costs.items()},
        "decision": decided,
        "growth": grown,
        "load": {
            "devices": devices,
            **{name: getattr(load.Shape(devices), name) for name in ("users", "tags", "rules")},
            "policy_bytes": len(text),
            "seed": load.SEED,
        },
        "small": {"policy": small.name, "bytes": small.stat().st_size},
        "rounds": rounds,
        "machine": machine(),
    }


def machine() -> dict[str, Any]:
    """Say what the figures were taken on."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.platform(),
        "cpus": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
        "postern": version("postern"),
        "lark": version("lark"),
        "pydantic": version("pydantic"),
    }


def table(result: dict[str, Any]) -> Iterator[str]:
    """Yield the result as lines for people."""
    shape, ratios = result["load"], result["ratios"]
    yield (
        f"load R: {shape['devices']} devices, {shape['users']} users, {shape['tags']} tags, "
        f"{shape['rules']} rules, {shape['policy_bytes']} bytes"
    )
    yield f"{'':28}{'ratio':>9}{'bar':>7}{'best':>12}{'cpu':>12}{'peak':>11}"
    for name, figures in result["commands"].items():
        ratio, bar = ratios.get(name, 1), result["bars"].get(name, "")
        yield (
            f"{name:28}{ratio:>9}{bar:>7}{figures['best_s'] * 1e3:>9.1f} ms"
            f"{figures['cpu_s'] * 1e3:>9.1f} ms{figures['peak_bytes'] / (1 << 20):>7.0f} MiB"
        )
    decision = result["decision"]
    yield (
        f"{'decision':28}{ratios['decision']:>9}{result['bars']['decision']:>7}"
        f"{decision['amortised_s'] * 1e9:>9.0f} ns; an empty call {decision['call_s'] * 1e9:.0f} ns"
    )
    yield (
        f"{'decision_first':28}{ratios['decision_first']:>9}{'':7}"
        f"{decision['first_s'] * 1e9:>9.0f} ns; {decision['flows']} flows"
    )
    grown = result["growth"]
    yield (
        f"growth with devices: processor time ^{grown['cpu_exponent']}, "
        f"output ^{grown['output_exponent']}"
    )
    yield json.dumps(result["machine"])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.policy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--devices", type=int, default=load.DEVICES, help="size of load R")
    parser.add_argument("--rounds", type=int, default=20, help="runs of each check")
    options = parser.parse_args(arguments)
    if options.devices < 400 or options.rounds < 1:
        parser.error("at least 400 devices and 1 round")
    result = bench(options.devices, options.rounds)
    print(json.dumps(result, indent=2) if options.json else "\n".join(table(result)))


if __name__ == "__main__":
    main()
