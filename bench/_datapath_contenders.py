"""The data paths that `bench.datapath` compares, and how each is brought up in two hosts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support import netns
from tests.support.netns import Lab, postern_wg_up, tunnels, until, wireguard_go_up

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

RULES = 1000


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


def write_rules(directory: Path) -> Path:
    """Write 1,000 rules, of which the last allows the benchmark's own flows."""
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
    file = directory / "filter.json"
    file.write_text(json.dumps(rules))
    return file


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
)
