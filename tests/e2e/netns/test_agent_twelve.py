"""Twelve nodes at once: the policy between every two of them, and what a network goes through."""

from __future__ import annotations

import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from node.demo.network import Member, Network, wait_until
from node.demo.story import EDIT, TEST_EDIT
from tests.support.mesh import POLICY, needs_mesh, running_network

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.netns, needs_mesh()]

PORTS = (22, 443, 8080)
MORE = (
    Member("engineer2", owner="bo", ports=PORTS),
    Member("ops2", owner="oli", ports=PORTS),
    Member("visitor2", owner="sam", ports=PORTS),
    Member("production2", tag="tag:production", ports=PORTS),
    Member("production3", tag="tag:production", ports=PORTS),
    Member("staging2", tag="tag:staging", ports=PORTS),
    Member("staging3", tag="tag:staging", ports=PORTS),
)
SERVER = (sys.executable, "-m", "node.demo.probe")
EDIT_BAR_S = 2.0
OUTAGE_S = 5.0


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with running_network(tmp_path_factory.mktemp("twelve"), *MORE) as running:
        yield running


def kind(host: str) -> str:
    return host.rstrip("0123456789")


def is_allowed(host: str, other: str, port: int) -> bool:
    """Return what a person who reads the policy says."""
    match kind(host), kind(other), port:
        case ("ops", _, _) | ("engineer", "staging", _) | ("engineer", "production", 443):
            return True
        case _:
            return False


def listening(network: Network) -> dict[str, tuple[int, ...]]:
    return {member.host: member.ports for member in network.members}


def differences(network: Network, seconds: float) -> list[str]:
    """Try every port of every node from every other; return where the policy does not hold."""
    ports = listening(network)

    def of(host: str) -> list[str]:
        targets = [(other, port) for other in ports if other != host for port in ports[other]]
        return [
            f"{host} to {other}:{port}: {said}"
            for (other, port), said in network.survey(host, targets, seconds).items()
            if said.startswith("open") != is_allowed(host, other, port)
            or (said.startswith("open") and said != f"open {other}")
        ]

    with ThreadPoolExecutor(4) as pool:
        return [line for lines in pool.map(of, ports) for line in lines]


def hold(network: Network, host: str, other: str, port: int = 443) -> str:
    """Keep a connection busy until it is cut; return the name of its log."""
    log = f"hold-{host}-{other}-{time.monotonic_ns()}"
    network.lab.start(host, *SERVER, "hold", network.addresses[other], str(port), log=log)
    return log


def text_of(network: Network, log: str) -> str:
    return (network.directory / f"{log}.log").read_text()


def await_held(network: Network, logs: list[str]) -> None:
    for log in logs:
        wait_until(lambda log=log: "open" in text_of(network, log), f"{log} is open")  # type: ignore[misc]


def tell_times(took: list[float]) -> None:
    spelled = ", ".join(f"{1000 * seconds:.0f}" for seconds in sorted(took))
    sys.stdout.write(f"cut after {spelled} ms\n")


def test_twelve_joined_and_the_policy_holds_between_every_two(network: Network) -> None:
    assert len(network.api("GET", "node")["nodes"]) == len(network.addresses) == 12
    wait_until(
        lambda: (
            {p["HostName"] for p in network.status("visitor2")["Peer"].values()} == {"ops", "ops2"}
        ),
        "the policy",
    )
    assert differences(network, 5.0) == []


def test_policy_edit_is_enforced_everywhere_within_the_bar(network: Network) -> None:
    engineers = ("engineer", "engineer2")
    servers = ("production", "production2", "production3")
    logs = [hold(network, host, other) for host in engineers for other in servers]
    await_held(network, logs)
    edited = POLICY.read_text()
    for old, new in (*EDIT, *TEST_EDIT):
        edited = edited.replace(old, new)
    sent_at = network.set_policy(edited)
    try:
        for log in logs:
            wait_until(lambda log=log: "cut" in text_of(network, log), f"{log} is cut", 15)  # type: ignore[misc]
        took = [float(text_of(network, log).rpartition("cut ")[2]) - sent_at for log in logs]
        tell_times(took)
        assert max(took) < EDIT_BAR_S
        targets = [(other, 443) for other in servers]
        for host in engineers:
            said = network.survey(host, targets, 1.0).values()
            assert not any(text.startswith("open") for text in said)
    finally:
        restored_at = network.set_policy(POLICY.read_text())
    for host in engineers:
        wait_until(lambda host=host: is_open(network, host, servers), f"{host} is back", 15)  # type: ignore[misc]
    sys.stdout.write(f"allowed again {time.time() - restored_at:.1f} s after, by polling\n")


def is_open(network: Network, host: str, others: tuple[str, ...]) -> bool:
    found = network.survey(host, [(other, 443) for other in others], 2.0)
    return all(found[other, 443] == f"open {other}" for other in others)


def outage(network: Network, seconds: float) -> None:
    """Take the control server away, and look what goes on without it."""
    assert network.control is not None
    log = hold(network, "engineer", "production")
    await_held(network, [log])
    network.lab.stop(network.control)
    gone_at = time.monotonic()
    try:
        wait_until(lambda: not network.status("ops2")["Self"]["Online"], "the loss is noticed")
        # An agent that starts now works by its last netmap.
        network.lab.stop(network.agents["staging2"])
        network.start_agent("staging2")
        wait_until(
            lambda: network.connect("ops", "staging2", 22, 2.0) == "open staging2", "traffic", 60
        )
        assert network.connect("engineer", "production2", 22, 1.0) == "no answer"
        assert network.connect("engineer2", "production3", 443) == "open production3"
        wait_until(lambda: time.monotonic() - gone_at >= seconds, "the outage", seconds + 30)
        assert "cut" not in text_of(network, log), "the connection went on all the time"
    finally:
        network.start_control()
    for host in ("engineer", "ops2", "staging2"):
        wait_until(
            lambda host=host: network.status(host)["Self"]["Online"],  # type: ignore[misc]
            f"{host} is online again",
            90,
        )
    assert "cut" not in text_of(network, log)


def test_traffic_survives_an_outage_of_the_control_server(network: Network) -> None:
    outage(network, OUTAGE_S)


@pytest.mark.soak
def test_traffic_survives_a_minute_without_the_control_server(network: Network) -> None:
    outage(network, 60.0)


def test_relay_goes_and_comes_back(network: Network) -> None:
    wait_until(lambda: is_direct(network), "a direct path")
    assert network.relay is not None
    network.lab.stop(network.relay)
    wait_until(lambda: "relay" in health(network), "the loss is noticed")
    assert network.connect("engineer", "production", 443) == "open production"
    network.start_relay()
    wait_until(lambda: "relay" not in health(network), "the relay is back", 60)
    network.lab.block_udp()
    try:
        wait_until(lambda: not is_direct(network), "the relay carries it", 60)
        assert network.connect("engineer", "production", 443) == "open production"
    finally:
        network.lab.unblock_udp()


def health(network: Network) -> str:
    return " ".join(network.status("engineer")["Health"] or ())


def is_direct(network: Network) -> bool:
    network.connect("engineer", "production", 443, 2.0)
    peer = network.peer("engineer", "production")
    return peer is not None and bool(peer["CurAddr"])


def test_renumbered_node_is_found_again(network: Network) -> None:
    old = network.lab.address("staging3")
    new = "203.0.113.222"
    network.lab.run("staging3", "ip", "addr", "del", f"{old}/24", "dev", "eth0")
    network.lab.run("staging3", "ip", "addr", "add", f"{new}/24", "dev", "eth0")

    def way() -> str:
        network.connect("ops2", "staging3", 22, 2.0)
        peer = network.peer("ops2", "staging3")
        return "" if peer is None else str(peer["CurAddr"])

    wait_until(lambda: way().startswith(f"{new}:"), "the new address", 60)
    assert network.status("staging3")["TailscaleIPs"][0] == network.addresses["staging3"]


def test_rebooted_node_comes_back_as_itself(network: Network) -> None:
    host = "production3"
    numbers = {node["id"] for node in network.api("GET", "node")["nodes"]}
    key = network.status(host)["Self"]["PublicKey"]
    agent = network.agents[host]
    agent.send_signal(signal.SIGKILL)
    agent.wait()
    network.lab.processes.remove(agent)
    # What a reboot takes besides the processes: links, rules, tables. Files stay.
    for family in ("-4", "-6"):
        network.lab.run(host, "ip", family, "rule", "flush")
        for table, priority in (("local", 0), ("main", 32766), ("default", 32767)):
            network.lab.run(
                host, "ip", family, "rule", "add", "lookup", table, "priority", str(priority)
            )
    network.lab.run(host, "nft", "flush", "ruleset")
    assert "postern0" not in network.lab.run(host, "ip", "link")
    network.start_agent(host)
    wait_until(lambda: network.status(host)["BackendState"] == "Running", "running again")
    status = network.status(host)
    assert (status["TailscaleIPs"][0], status["Self"]["PublicKey"]) == (
        network.addresses[host],
        key,
    )
    wait_until(lambda: network.connect("engineer2", host, 443) == f"open {host}", "traffic", 60)
    assert network.connect("engineer2", host, 22, 1.0) == "no answer"
    assert {node["id"] for node in network.api("GET", "node")["nodes"]} == numbers


def test_killed_agent_starts_over_what_it_left(network: Network) -> None:
    host = "staging"
    agent = network.agents[host]
    agent.send_signal(signal.SIGKILL)
    agent.wait()
    network.lab.processes.remove(agent)
    assert "100.100.100.100" in network.resolv_conf(host).read_text(), "left by the crash"
    network.start_agent(host)
    wait_until(lambda: network.connect("engineer2", host, 22) == f"open {host}", "traffic", 60)
    rules = network.lab.run(host, "ip", "rule")
    assert rules.count("5370:") == 1


def test_removed_node_loses_access_at_once(network: Network) -> None:
    # Last: the network is not what it was afterwards.
    for other in ("production", "staging"):
        # The tests before renumbered hosts and stopped servers: the way must be there again.
        wait_until(
            lambda other=other: network.connect("ops2", other, 22).startswith("open"),  # type: ignore[misc]
            f"ops2 reaches {other}",
        )
    logs = [hold(network, "ops2", other, 22) for other in ("production", "staging")]
    await_held(network, logs)
    [number] = [n["id"] for n in network.api("GET", "node")["nodes"] if n["name"] == "ops2"]
    removed_at = time.time()
    network.api("DELETE", f"node/{number}")
    for log in logs:
        wait_until(lambda log=log: "cut" in text_of(network, log), f"{log} is cut", 15)  # type: ignore[misc]
    took = [float(text_of(network, log).rpartition("cut ")[2]) - removed_at for log in logs]
    tell_times(took)
    assert max(took) < EDIT_BAR_S
    wait_until(lambda: network.status("ops2")["BackendState"] == "NeedsLogin", "it is told")
    said = network.survey("ops2", [("production", 22), ("staging", 8080)], 1.0).values()
    assert not any(text.startswith("open") for text in said)
