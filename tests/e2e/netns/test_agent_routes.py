"""Subnet routers and exit nodes, on real connections."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from node.demo.network import Network, postern, wait_until
from node.hostnet.plan import ROUTE_TABLE
from tests.support.mesh import needs_mesh, running_network

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.netns, needs_mesh()]

LAN, SERVER, PORT = "10.77.0.0/24", "10.77.0.2", 8088


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Return the network with a LAN behind production: one server that knows no way back."""
    with running_network(tmp_path_factory.mktemp("routes")) as running:
        lab = running.lab
        lab.run("production", "ip", "link", "add", "lan0", "type", "veth", "peer", "name", "eth1",
                "netns", lab.name("internet"))  # fmt: skip
        lab.run("production", "ip", "addr", "add", "10.77.0.1/24", "dev", "lan0")
        lab.run("production", "ip", "link", "set", "lan0", "up")
        lab.run("internet", "ip", "addr", "add", f"{SERVER}/24", "dev", "eth1")
        lab.run("internet", "ip", "link", "set", "eth1", "up")
        serve = (sys.executable, "-m", "node.demo.probe", "serve", "lan-server", str(PORT))
        lab.start("internet", *serve, log="lan-server")
        running.addresses["lan-server"] = SERVER
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
