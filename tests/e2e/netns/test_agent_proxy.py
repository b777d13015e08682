"""A machine that reaches nothing but a web proxy joins, and its packets go by the relay."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from node.demo.lab import HUB_ADDRESS
from node.demo.network import postern, wait_until
from tests.support.mesh import needs_mesh, running_network

if TYPE_CHECKING:
    from pathlib import Path

    from node.demo.network import Network

pytestmark = [pytest.mark.netns, needs_mesh()]

PORT = 3128
PASSWORD = "correct-horse"  # noqa: S105  of a proxy of ours
NOTHING_ELSE = """table inet office {{
  chain output {{
    type filter hook output priority filter; policy accept;
    oifname "eth0" ip daddr {gateway} tcp dport {port} accept
    oifname "eth0" meta l4proto {{ tcp, udp }} drop
  }}
  chain input {{
    type filter hook input priority filter; policy accept;
    iifname "eth0" ip saddr {gateway} tcp sport {port} accept
    iifname "eth0" meta l4proto {{ tcp, udp }} drop
  }}
}}
"""


def start_office(network: Network) -> None:
    """Start a proxy, a host that reaches nothing else, and its agent."""
    lab = network.lab
    gateway = lab.address("gateway")
    proxy = (sys.executable, "-m", "tests.support.connect_proxy")
    lab.start("gateway", *proxy, gateway, str(PORT), f"ann:{PASSWORD}", log="gateway")
    wait_until(lambda: "answers" in read(network, "gateway"), "the proxy")
    lab.run("office", "nft", "-f", "-", text=NOTHING_ELSE.format(gateway=gateway, port=PORT))
    resolver = network.resolv_conf("office")
    resolver.touch()
    agent = postern(
        "agent", "--state-dir", str(network.state("office")), "--verbose",
        "--resolv-conf", str(resolver),
    )  # fmt: skip
    environment = ("env", f"ALL_PROXY=http://ann:{PASSWORD}@{gateway}:{PORT}")
    lab.start("office", *environment, *agent, log="office")
    wait_until(lambda: network.is_answering("office"), "the agent")


def read(network: Network, log: str) -> str:
    return (network.directory / f"{log}.log").read_text()


def run(network: Network, *arguments: str) -> str:
    state = str(network.state("office"))
    return network.lab.run("office", *postern(*arguments, "--state-dir", state))


def test_machine_behind_a_mandatory_proxy_joins_and_is_carried(tmp_path: Path) -> None:
    with running_network(tmp_path, hosts=("office", "gateway")) as network:
        start_office(network)
        login = ("--login-server", f"http://{HUB_ADDRESS}:8080", "--hostname", "office")
        run(network, "up", "--auth-key", network.add_key("ann"), *login)
        network.addresses["office"] = network.status("office")["TailscaleIPs"][0]
        wait_until(
            lambda: network.connect("office", "production", 443) == "open production",
            "the relay carries",
        )
        assert "via DERP(hub) in " in run(
            network, "ping", "-c", "1", "--no-until-direct", "production"
        )
        assert "\t* Nearest DERP: The hub\n" in run(network, "netcheck")
        tunnels = set(re.findall(r"tunnel to (\S+)", read(network, "gateway")))
        assert tunnels == {f"{HUB_ADDRESS}:8080", f"{HUB_ADDRESS}:3340"}
        assert f"the proxy http://{network.lab.address('gateway')}:{PORT}" in read(
            network, "office"
        )
        assert PASSWORD not in read(network, "office")
