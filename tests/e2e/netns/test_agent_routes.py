"""Subnet routers and exit nodes, on real connections."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import pytest

from node.demo.network import Network, postern, wait_until
from node.hostnet.plan import ROUTE_TABLE
from tests.support.mesh import needs_mesh, running_network

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.netns, needs_mesh()]

LAN, SERVER, PORT = "10.77.0.0/24", "10.77.0.2", 8088
MIRROR_PORT = 8089
FAR, FAR6 = "198.51.100.1", "2001:db8:77::1"
NEAR, NEAR6 = "203.0.113.1", "2001:db8:1::1"
ROUTERS = {"production": "10.77.0.1", "staging": "10.77.0.3"}
CLOSED_LAN = """table inet lab {
  chain input {
    type filter hook input priority filter; policy accept;
    iifname "br0" ip daddr 10.77.0.0/24 drop
  }
}
"""
PROBE = (sys.executable, "-m", "node.demo.probe")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Return the network with two things beyond it.

    A LAN behind production and staging, with one server that knows no way back; and an internet
    beyond the bridge, where a mirror says from which address it was asked.
    """
    with running_network(tmp_path_factory.mktemp("routes")) as running:
        lab = running.lab
        lab.run("internet", "ip", "link", "add", "lan", "type", "bridge")
        lab.run("internet", "ip", "addr", "add", f"{SERVER}/24", "dev", "lan")
        lab.run("internet", "ip", "link", "set", "lan", "up")
        for host, address in ROUTERS.items():
            lab.run(host, "ip", "link", "add", "lan0", "type", "veth", "peer", "name",
                    f"lan-{host}", "netns", lab.name("internet"))  # fmt: skip
            lab.run(host, "ip", "addr", "add", f"{address}/24", "dev", "lan0")
            lab.run(host, "ip", "link", "set", "lan0", "up")
            lab.run("internet", "ip", "link", "set", f"lan-{host}", "master", "lan", "up")
        # Nothing leads from the internet into the LAN.
        lab.run("internet", "nft", "-f", "-", text=CLOSED_LAN)
        lab.run("internet", "ip", "addr", "add", f"{NEAR}/24", "dev", "br0")
        lab.run("internet", "ip", "addr", "add", f"{NEAR6}/64", "dev", "br0", "nodad")
        lab.run("internet", "ip", "addr", "add", f"{FAR}/32", "dev", "lo")
        lab.run("internet", "ip", "addr", "add", f"{FAR6}/128", "dev", "lo")
        for number, host in ((20, "ops"), (30, "production"), (40, "staging")):
            lab.run(host, "ip", "route", "add", "default", "via", NEAR)
            lab.run(host, "ip", "addr", "add", f"2001:db8:1::{number}/64", "dev", "eth0", "nodad")
            lab.run(host, "ip", "-6", "route", "add", "default", "via", NEAR6)
        lab.start("internet", *PROBE, "serve", "lan-server", str(PORT), log="lan-server")
        lab.start("internet", *PROBE, "mirror", str(MIRROR_PORT), log="mirror")
        running.addresses |= {
            "lan-server": SERVER, "far": FAR, "far6": FAR6, "near": NEAR, "near6": NEAR6,
        }  # fmt: skip
        yield running


def up(network: Network, host: str, *flags: str) -> None:
    network.lab.run(host, *postern("up", "--state-dir", str(network.state(host)), *flags))


def approve(network: Network, host: str, *routes: str) -> None:
    [number] = [n["id"] for n in network.api("GET", "node")["nodes"] if n["name"] == host]

    def offered() -> bool:
        node = network.api("GET", f"node/{number}")["node"]
        return set(routes) <= set(node["availableRoutes"])

    wait_until(offered, "the offer")
    network.api("POST", f"node/{number}/approve_routes", routes=list(routes))


def reaches(network: Network, host: str) -> bool:
    return network.connect(host, "lan-server", PORT, 1.0) == "open lan-server"


def test_subnet_is_reached_once_offered_approved_and_accepted(network: Network) -> None:
    assert not reaches(network, "ops")
    up(network, "production", "--advertise-routes", LAN)
    approve(network, "production", LAN)
    assert not reaches(network, "ops"), "routes are not accepted unless asked for"
    up(network, "ops", "--accept-routes")
    wait_until(lambda: reaches(network, "ops"), "the subnet")


def test_policy_holds_for_the_subnet(network: Network) -> None:
    up(network, "engineer", "--accept-routes")
    assert not reaches(network, "engineer")


def test_withdrawn_route_leaves_nothing_on_the_host(network: Network) -> None:
    assert "masquerade" in network.lab.run("production", "nft", "list", "ruleset")
    up(network, "production", "--advertise-routes", "")
    wait_until(
        lambda: not network.lab.run("production", "nft", "list", "ruleset").strip(), "no table"
    )
    forwarding = network.lab.run("production", "cat", "/proc/sys/net/ipv4/ip_forward")
    assert forwarding.strip() == "0"
    assert not reaches(network, "ops")


def forwarding(network: Network, host: str) -> tuple[str, str]:
    """Return whether a host forwards IPv4 and IPv6."""
    paths = ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding")
    four, six = (network.lab.run(host, "cat", path).strip() for path in paths)
    return four, six


def kill(network: Network, host: str) -> None:
    agent = network.agents[host]
    agent.kill()
    agent.wait()
    network.lab.processes.remove(agent)


def test_killed_router_leaves_nothing_once_it_is_none_any_more(network: Network) -> None:
    before = forwarding(network, "production")
    up(network, "production", "--advertise-routes", LAN)
    wait_until(lambda: reaches(network, "ops"), "the subnet")
    assert forwarding(network, "production") == ("1", "1")
    kill(network, "production")
    assert "masquerade" in network.lab.run("production", "nft", "list", "ruleset")
    network.start_agent("production")
    up(network, "production", "--advertise-routes", "")
    wait_until(
        lambda: not network.lab.run("production", "nft", "list", "ruleset").strip(), "no table"
    )
    assert forwarding(network, "production") == before == ("0", "0")


def test_source_addresses_are_kept_where_that_is_wanted(network: Network) -> None:
    hides = 'oifname != "postern0" masquerade'

    def table() -> str:
        return network.lab.run("production", "nft", "list", "ruleset")

    up(network, "production", "--advertise-routes", LAN, "--no-snat-subnet-routes")
    try:
        wait_until(lambda: "postern-postern0" in table(), "the table")
        assert hides not in table()
        up(network, "production", "--snat-subnet-routes")
        wait_until(lambda: hides in table(), "source addresses are hidden again")
    finally:
        up(network, "production", "--snat-subnet-routes", "--advertise-routes", "")


def primary(network: Network) -> str:
    """Return which router ops uses for the LAN."""
    for peer in network.status("ops")["Peer"].values():
        if LAN in (peer["PrimaryRoutes"] or ()):
            return str(peer["HostName"])
    return ""


@pytest.mark.parametrize("end", ["killed", "cut off without a word"])
def test_second_router_takes_over_when_the_first_dies(network: Network, end: str) -> None:
    lab = network.lab
    for host in ROUTERS:
        up(network, host, "--advertise-routes", LAN)
        approve(network, host, LAN)
    wait_until(lambda: reaches(network, "ops"), "the subnet")
    first = primary(network)
    second = next(host for host in ROUTERS if host != first)
    assert first in ROUTERS
    if end == "killed":
        kill(network, first)
    else:
        lab.run("internet", "ip", "link", "set", f"to-{first}", "down")
    died_at = time.monotonic()
    try:
        wait_until(lambda: reaches(network, "ops"), "the other router", 90)
        took = time.monotonic() - died_at
        sys.stdout.write(f"{second} took over from {first} {took:.1f} s after it was {end}\n")
        assert primary(network) == second
    finally:
        if end == "killed":
            network.start_agent(first)
        else:
            lab.run("internet", "ip", "link", "set", f"to-{first}", "up")
    wait_until(lambda: network.status(first)["Self"]["Online"], f"{first} is back")
    for host in ROUTERS:
        up(network, host, "--advertise-routes", "")
    wait_until(lambda: not reaches(network, "ops"), "the routes are withdrawn")


def test_site_with_the_same_addresses_is_reached_under_its_own_prefix(network: Network) -> None:
    via = network.lab.run("ops", *postern("via", "7", LAN)).strip()
    assert via == "fd7a:115c:a1e0:b1a:0:7:a4d:0/120"
    network.addresses["via"] = "fd7a:115c:a1e0:b1a:0:7:a4d:2"
    up(network, "production", "--advertise-routes", via)
    approve(network, "production", via)
    wait_until(
        lambda: network.connect("ops", "via", PORT, 1.0) == "open lan-server", "the site", 60
    )
    network.lab.run("ops", "ping", "-c", "2", "-W", "5", network.addresses["via"])
    assert network.connect("engineer", "via", PORT, 1.0) != "open lan-server"
    assert "via7726" in network.lab.run("production", "ip", "link")
    up(network, "production", "--advertise-routes", "")
    wait_until(lambda: "via7726" not in network.lab.run("production", "ip", "link"), "it is gone")
    assert network.connect("ops", "via", PORT, 1.0) != "open lan-server"


def mirrored(network: Network, host: str, where: str) -> str:
    """Return from which address a host is seen, or what came instead."""
    return network.connect(host, where, MIRROR_PORT, 2.0).removeprefix("open ")


def test_everything_leaves_through_the_exit_node(network: Network) -> None:
    lab = network.lab
    assert mirrored(network, "ops", "far") == lab.address("ops")
    assert mirrored(network, "ops", "far6") == "2001:db8:1::20"
    up(network, "production", "--advertise-exit-node")
    approve(network, "production", "0.0.0.0/0", "::/0")
    wait_until(
        lambda: bool((network.peer("ops", "production") or {}).get("ExitNodeOption")), "the offer"
    )
    up(network, "ops", "--exit-node", "production")
    try:
        wait_until(
            lambda: mirrored(network, "ops", "far") == lab.address("production"), "the exit node"
        )
        assert mirrored(network, "ops", "far6") == "2001:db8:1::30"
        # What is around the host is not reached any more, and neither is what is around the exit
        # node: peers may go to the internet, not into its LAN.
        assert mirrored(network, "ops", "near") == "no answer"
        assert mirrored(network, "ops", "near6") == "no answer"
        assert network.connect("ops", "lan-server", PORT, 1.0) == "no answer"
        # No lockout: control server and relay are in reach, and so is the tailnet.
        assert network.status("ops")["Self"]["Online"]
        assert network.connect("ops", "staging", 8080) == "open staging"
        up(network, "ops", "--exit-node-allow-lan-access")
        wait_until(
            lambda: mirrored(network, "ops", "near") == lab.address("ops"), "the local network"
        )
        assert mirrored(network, "ops", "near6") == "2001:db8:1::20"
        assert mirrored(network, "ops", "far") == lab.address("production")
    finally:
        up(network, "ops", "--exit-node", "", "--no-exit-node-allow-lan-access")
    wait_until(lambda: mirrored(network, "ops", "far") == lab.address("ops"), "the direct way")
    assert mirrored(network, "ops", "far6") == "2001:db8:1::20"
    assert not any(line.startswith(("default", "throw")) for line in
                   routes(network, "ops").splitlines())  # fmt: skip


def test_dead_exit_node_leaks_nothing(network: Network) -> None:
    up(network, "ops", "--exit-node", "production")
    wait_until(
        lambda: mirrored(network, "ops", "far") == network.lab.address("production"), "the exit"
    )
    kill(network, "production")
    try:
        assert mirrored(network, "ops", "far") == "no answer"
        assert mirrored(network, "ops", "far6") == "no answer"
    finally:
        up(network, "ops", "--exit-node", "")
        network.start_agent("production")
    wait_until(lambda: network.status("production")["Self"]["Online"], "production is back")


def test_policy_routing_goes_with_the_agent(network: Network) -> None:
    up(network, "ops", "--exit-node", "production")
    wait_until(lambda: "default" in routes(network, "ops"), "the default route")
    network.lab.run("ops", *postern("down", "--state-dir", str(network.state("ops"))))
    rules = network.lab.run("ops", "ip", "rule") + network.lab.run("ops", "ip", "-6", "rule")
    assert [line for line in rules.splitlines() if line.startswith("53")] == []
    assert mirrored(network, "ops", "far") == network.lab.address("ops")
    up(network, "ops", "--exit-node", "", "--timeout", "60")


def test_missing_exit_node_drops_instead_of_leaking(network: Network) -> None:
    up(network, "ops", "--exit-node", "nobody")
    try:
        wait_until(lambda: "default" in routes(network, "ops"), "the default route")
        assert "throw 203.0.113.10" in routes(network, "ops")
        health = network.status("ops")["Health"]
        assert any("exit node nobody is not there" in line for line in health)
        # The control server and the relay stay in reach: no lockout.
        assert network.status("ops")["Self"]["Online"]
    finally:
        up(network, "ops", "--exit-node", "")
    wait_until(lambda: "default" not in routes(network, "ops"), "the routes are gone")


def routes(network: Network, host: str) -> str:
    return network.lab.run(host, "ip", "route", "show", "table", str(ROUTE_TABLE))
