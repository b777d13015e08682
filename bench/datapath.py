"""Measures the packet path against wireguard-go and nebula, side by side.

    python -m bench.datapath [--json] [--rounds N] [--seconds S] [--only NAME,...]

Builds two hosts out of network namespaces, joined by a veth, and runs in every round, one after
the other: the bare veth, wireguard-go, nebula, ours without a filter, ours with 1,000 rules. Each
time: TCP with one stream and with four, IPv6 TCP, 64-byte UDP at stepped rates, ping, and the
tunnels' CPU time a gigabit. Prints medians and ratios; absolute values drift between machines.
Needs root, wireguard-go, nebula, nebula-cert, iperf3 and wireguard-tools.
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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support import netns
from tests.support.netns import Lab, postern_wg_up, tunnels, until, wireguard_go_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLASTER = Path(__file__).with_name("blaster.py")
RULES = 1000
RATES_KPPS = (15, 30, 45, 60, 75, 90, 105, 120, 140, 160, 190, 230)
NO_LOSS = 0.98
IPERF_TRIES = 3
CLOCK_HZ = os.sysconf("SC_CLK_TCK")

Metrics = dict[str, float]


@dataclass(frozen=True)
class Contender:
    """One data path: how to bring it up, and the addresses of host b through it."""

    name: str
    up: Callable[[Lab], list[subprocess.Popen[bytes]]]
    target: str = "10.7.0.2"
    target6: str = "fd07::2"


def up_nothing(_: Lab) -> list[subprocess.Popen[bytes]]:
    return []


def up_wireguard_go(lab: Lab) -> list[subprocess.Popen[bytes]]:
    tag = lab.a.name[-5:-1]
    pairs = zip(lab.hosts, tunnels(), ("a", "b"), strict=True)
    return [wireguard_go_up(host, tunnel, f"wg{tag}{side}") for host, tunnel, side in pairs]


def up_ours(lab: Lab) -> list[subprocess.Popen[bytes]]:
    return [postern_wg_up(host, tunnel) for host, tunnel in zip(lab.hosts, tunnels(), strict=True)]


def up_ours_filtered(lab: Lab) -> list[subprocess.Popen[bytes]]:
    """Both ends enforce 1,000 rules, of which the last allows the benchmark's own flows."""
    rules: list[dict[str, Any]] = [
        {
            "SrcIPs": [f"10.{number >> 8}.{number & 255}.0/24", f"fd00:{number:x}::/64"],
            "DstPorts": [{"IP": "*", "Ports": {"First": 1000 + number, "Last": 1000 + number}}],
        }
        for number in range(RULES - 1)
    ]
    rules.append(
        {
            "SrcIPs": ["10.7.0.0/24", "fd07::/64"],
            "DstPorts": [{"IP": "*", "Ports": {"First": 0, "Last": 65535}}],
        }
    )
    file = lab.a.directory / "filter.json"
    file.write_text(json.dumps(rules))
    return [
        postern_wg_up(host, tunnel, "--filter", str(file))
        for host, tunnel in zip(lab.hosts, tunnels(), strict=True)
    ]


def up_nebula(lab: Lab) -> list[subprocess.Popen[bytes]]:
    directory = lab.a.directory
    netns.run("nebula-cert", "ca", "-name", "bench", cwd=directory)
    for number in (1, 2):
        netns.run(
            "nebula-cert", "sign", "-name", f"host{number}", "-ip", f"10.7.0.{number}/24",
            cwd=directory,
        )  # fmt: skip
    processes = []
    for number, host in enumerate(lab.hosts, 1):
        conf = directory / f"nebula{number}.yml"
        conf.write_text(_nebula_config(directory, number))
        processes.append(host.start("nebula", "-config", str(conf), log="nebula"))
    for host in lab.hosts:
        until(lambda host=host: "10.7.0." in host.run("ip", "addr"), "nebula")  # type: ignore[misc]
    return processes


def _nebula_config(directory: Path, number: int) -> str:
    other = 3 - number
    everyone = [{"port": "any", "proto": "any", "host": "any"}]
    return json.dumps(
        {
            "pki": {
                "ca": str(directory / "ca.crt"),
                "cert": str(directory / f"host{number}.crt"),
                "key": str(directory / f"host{number}.key"),
            },
            "static_host_map": {f"10.7.0.{other}": [f"192.0.2.{other}:4242"]},
            "lighthouse": {"am_lighthouse": False, "hosts": []},
            "listen": {"host": "0.0.0.0", "port": 4242},  # noqa: S104  inside a namespace
            "tun": {"dev": "nebula1", "mtu": 1420},
            "logging": {"level": "warning"},
            "firewall": {"outbound": everyone, "inbound": everyone},
        }
    )


CONTENDERS = (
    Contender("raw", up_nothing, "192.0.2.2", "2001:db8::2"),
    Contender("wireguard_go", up_wireguard_go),
    Contender("nebula", up_nebula, target6=""),
    Contender("ours", up_ours),
    Contender("ours_filtered", up_ours_filtered),
)


def measure(contender: Contender, seconds: float) -> Metrics:
    """Bring one data path up in fresh hosts and measure it."""
    with tempfile.TemporaryDirectory() as directory, netns.lab(Path(directory)) as lab:
        processes = contender.up(lab)
        ping(lab, contender.target, 2)
        lab.b.start("iperf3", "-s", log="iperf")
        until(lambda: ":5201" in lab.b.run("ss", "-ltn"), "iperf3")
        # One short run first, so that windows and caches are warm for everybody alike.
        iperf(lab, contender.target, 1.0)
        before = cpu_seconds(processes)
        found = {"tcp1_gbps": iperf(lab, contender.target, seconds)}
        gigabits = found["tcp1_gbps"] * seconds
        found["cpu_s_per_gbit"] = (cpu_seconds(processes) - before) / max(gigabits, 1e-9)
        found["tcp4_gbps"] = iperf(lab, contender.target, seconds, "-P", "4")
        if contender.target6:
            found["tcp1_ipv6_gbps"] = iperf(lab, contender.target6, seconds)
        found["ping_ms"] = ping(lab, contender.target, 20)
        found |= blast(lab, contender.target)
        return found


def iperf(lab: Lab, target: str, seconds: float, *options: str) -> float:
    """Return the received gigabits a second."""
    command = ("iperf3", "-J", "-t", f"{seconds:g}", "-c", target, *options)
    answer: dict[str, Any] = {}
    for _ in range(IPERF_TRIES):
        until(lambda: ":5201" in lab.b.run("ss", "-ltn"), "iperf3")
        answer = json.loads(lab.a.run(*command, check_status=False))
        if "sum_received" in answer["end"]:
            return float(answer["end"]["sum_received"]["bits_per_second"]) / 1e9
        # Its server opens the listening socket anew after each test and refuses who comes between.
    raise RuntimeError(f"iperf3 to {target}: {answer.get('error')}")


def ping(lab: Lab, target: str, count: int) -> float:
    """Return the median round trip in milliseconds; waits for the first answer."""
    until(
        lambda: (
            " 0% packet loss"
            in lab.a.run("ping", "-n", "-c", "1", "-W", "1", target, check_status=False)
        ),
        f"an answer of {target}",
    )
    text = lab.a.run("ping", "-n", "-c", str(count), "-i", "0.05", target)
    times = [
        float(line.split("time=")[1].split()[0]) for line in text.splitlines() if "time=" in line
    ]
    return statistics.median(times)


def blast(lab: Lab, target: str) -> Metrics:
    """Send 64-byte UDP at rising rates; return the best received and the best without loss."""
    best, clean = 0.0, 0.0
    for kpps in RATES_KPPS:
        sent, received = blast_once(lab, target, kpps * 1000)
        best = max(best, received)
        if received >= NO_LOSS * sent:
            clean = max(clean, received)
        elif received < best / 2 or sent < kpps * 600:
            # Past saturation, or the sender itself is: higher steps only repeat this one.
            break
    return {"udp_best_kpps": best / 1000, "udp_no_loss_kpps": clean / 1000}


def blast_once(lab: Lab, target: str, rate: int) -> tuple[float, float]:
    """Return packets a second sent and received."""
    seconds = 0.5
    receiver = subprocess.Popen(
        (
            "ip",
            "netns",
            "exec",
            lab.b.name,
            sys.executable,
            str(BLASTER),
            "receive",
            target,
            "9009",
        ),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        until(lambda: ":9009" in lab.b.run("ss", "-lun"), "the receiver")
        said = lab.a.run(
            sys.executable, str(BLASTER), "send", target, "9009", str(rate), str(seconds)
        )
        sent = int(said)
        out, _ = receiver.communicate(timeout=10)
    finally:
        receiver.kill()
        receiver.wait()
    return sent / seconds, int(out) / seconds


def cpu_seconds(processes: list[subprocess.Popen[bytes]]) -> float:
    """Return user and system time of the tunnels so far."""
    total = 0
    for process in processes:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / CLOCK_HZ


def ratios(rounds: list[dict[str, Metrics]]) -> Metrics:
    """Return medians of the ratios taken within each round."""

    def of(name: str, over: str, metric: str, other: str = "") -> float:
        values = [
            one[name][metric] / one[over][other or metric]
            for one in rounds
            if name in one and over in one and one[over][other or metric]
        ]
        return round(statistics.median(values), 3) if values else float("nan")

    return {
        "tcp1_vs_wireguard_go": of("ours", "wireguard_go", "tcp1_gbps"),
        "tcp1_vs_nebula": of("ours", "nebula", "tcp1_gbps"),
        "tcp4_vs_wireguard_go": of("ours", "wireguard_go", "tcp4_gbps"),
        "pps_vs_wireguard_go": of("ours", "wireguard_go", "udp_best_kpps"),
        "pps_vs_nebula": of("ours", "nebula", "udp_best_kpps"),
        "ipv6_vs_ipv4": of("ours", "ours", "tcp1_ipv6_gbps", "tcp1_gbps"),
        "filter_on_vs_off": of("ours_filtered", "ours", "tcp1_gbps"),
        "cpu_vs_wireguard_go": of("ours", "wireguard_go", "cpu_s_per_gbit"),
    }


def medians(rounds: list[dict[str, Metrics]]) -> dict[str, Metrics]:
    """Return each contender's median of each metric."""
    return {
        name: {
            metric: round(statistics.median(one[name][metric] for one in rounds), 4)
            for metric in rounds[0][name]
        }
        for name in rounds[0]
    }


def idle_share() -> Iterator[float]:
    """Yield the share of CPU time that was idle since the last time; the first is since boot."""
    last = (0, 0)
    while True:
        fields = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
        now = (fields[3], sum(fields))
        yield (now[0] - last[0]) / max(now[1] - last[1], 1)
        last = now


def favour_this_session() -> None:
    """Ask the scheduler to put this session first, so that neighbours disturb less.

    Niceness alone says nothing between sessions where the kernel groups tasks by session.
    """
    if os.getsid(0) != os.getpid():
        try:
            os.setsid()
        except PermissionError:
            # A group leader already, as under an interactive shell: it stays where it is.
            return
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    group = Path("/proc/self/autogroup")
    if group.exists():
        group.write_text("-20")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.datapath", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each TCP run")
    parser.add_argument("--only", default="", help="contenders, comma-separated")
    options = parser.parse_args()
    why = netns.why_not("wireguard-go", "nebula", "nebula-cert", "iperf3", "wg", "ping", "ss")
    if why is not None:
        print(f"bench.datapath: {why}", file=sys.stderr)
        return 1
    favour_this_session()
    only = set(filter(None, options.only.split(",")))
    rounds: list[dict[str, Metrics]] = []
    idle = idle_share()
    next(idle)
    time.sleep(1)
    others = 1 - next(idle)
    for number in range(options.rounds):
        found: dict[str, Metrics] = {}
        for contender in CONTENDERS:
            if only and contender.name not in only:
                continue
            found[contender.name] = measure(contender, options.seconds)
            print(f"round {number + 1} {contender.name}: {found[contender.name]}", file=sys.stderr)
        rounds.append(found)
    result = {
        "ratios": ratios(rounds),
        "medians": medians(rounds),
        "rounds": rounds,
        "machine": {
            "cores": os.cpu_count(),
            "kernel": os.uname().release,
            "busy_with_others_before": round(others, 3),
        },
    }
    print(
        json.dumps(
            result if options.json else {k: result[k] for k in ("ratios", "medians", "machine")},
            indent=None if options.json else 2,
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
