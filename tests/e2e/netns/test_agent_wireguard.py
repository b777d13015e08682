"""A plain WireGuard device joins with a file of `nodes wg-config` and is held to the policy."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from node.demo.network import Network, postern, wait_until
from tests.support.mesh import POLICY, needs_mesh, running_network

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.netns,
    needs_mesh(),
    pytest.mark.skipif(
        shutil.which("wireguard-go") is None or shutil.which("wg-quick") is None,
        reason="needs wireguard-go and wg-quick (Debian: wireguard-go, wireguard-tools)",
    ),
]

PROBE = (sys.executable, "-m", "node.demo.probe")
INTO = '{"action": "accept", "src": ["group:engineering"], "dst": ["tag:device:22"]},'
OUT = '{"action": "accept", "src": ["tag:device"], "dst": ["tag:production:443"]},'


def policy(*rules: str) -> str:
    """Return the demo's policy with a tag for devices and some rules about it."""
    text = POLICY.read_text().replace(
        '"tagOwners": {', '"tagOwners": {\n"tag:device": ["group:ops"],'
    )
    return text.replace('"acls": [', f'"acls": [\n{" ".join(rules)}')


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Return the network with a device whose own key nobody else has seen."""
    with running_network(tmp_path_factory.mktemp("device"), hosts=("device",)) as running:
        running.set_policy(policy(INTO, OUT))
        lab, directory = running.lab, running.directory
        config = directory / f"wgd{os.getpid() % 100000}.conf"
        text = lab.run(
            "hub",
            *postern("control", "-c", str(directory / "control.yaml"), "nodes", "wg-config"),
            *("--name", "device", "--tags", "tag:device"),
            *("--endpoint", f"{lab.address('device')}:51820"),
        )
        config.touch(0o600)
        config.write_text(text)
        running.addresses["device"] = next(
            line.partition(" = ")[2].partition("/")[0]
            for line in text.splitlines()
            if line.startswith("Address")
        )
        try:
            # Not awaited by its output: the daemon that it leaves keeps that open.
            environment = ("env", "WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go")
            up = lab.start("device", *environment, "wg-quick", "up", str(config), log="wg-quick")
            wait_until(lambda: up.poll() is not None, "wg-quick")
            assert up.returncode == 0, (directory / "wg-quick.log").read_text()
            lab.processes.remove(up)
            lab.start("device", *PROBE, "serve", "device", "22", "443", log="device-server")
            wait_until(lambda: running.peer("engineer", "device") is not None, "the device")
            yield running
        finally:
            lab.run("device", "wg-quick", "down", str(config))


def test_device_reaches_what_it_may(network: Network) -> None:
    wait_until(
        lambda: network.connect("device", "production", 443) == "open production", "a handshake"
    )


def test_device_does_not_reach_more(network: Network) -> None:
    assert network.connect("device", "production", 22, 1.0) == "no answer"
    # No peer of the device: WireGuard has no key for it.
    assert not network.connect("device", "staging", 443, 1.0).startswith("open")


def test_node_behind_a_nat_reaches_the_device(network: Network) -> None:
    wait_until(lambda: network.connect("engineer", "device", 22) == "open device", "a handshake")


def test_what_nodes_send_to_the_device_is_held_to_the_policy_too(network: Network) -> None:
    # The device listens and filters nothing: its peers keep the policy in its stead.
    assert network.connect("engineer", "device", 443, 1.0) == "no answer"
    assert network.connect("production", "device", 22, 1.0) == "no answer"
    denials = network.ask("production", "GET", "/denials")["recent"]
    assert any(item["dst"] == network.addresses["device"] for item in denials)


def test_device_is_found_by_name_and_shown_as_a_peer(network: Network) -> None:
    assert network.resolve("engineer", "device.demo.internal") == network.addresses["device"]
    peer = network.peer("engineer", "device")
    assert peer is not None
    assert (peer["Relay"], peer["TailscaleIPs"][0]) == ("", network.addresses["device"])


def test_policy_edit_cuts_both_ways_at_once(network: Network) -> None:
    logs = {"device": "device-out", "engineer": "device-in"}
    for host, other, port in (("device", "production", "443"), ("engineer", "device", "22")):
        address = network.addresses[other]
        wait_until(
            lambda host=host, other=other, port=port: (  # type: ignore[misc]
                network.connect(host, other, int(port)) == f"open {other}"
            ),
            f"{host} reaches {other}",
        )
        network.lab.start(host, *PROBE, "hold", address, port, log=logs[host])

    def text(log: str) -> str:
        return (network.directory / f"{log}.log").read_text()

    for log in logs.values():
        wait_until(lambda log=log: "open" in text(log), f"{log} is open")  # type: ignore[misc]
    sent_at = network.set_policy(policy())
    try:
        for log in logs.values():
            wait_until(lambda log=log: "cut" in text(log), f"{log} is cut", 15)  # type: ignore[misc]
            took = float(text(log).rpartition("cut ")[2]) - sent_at
            sys.stdout.write(f"{log}: cut after {1000 * took:.0f} ms\n")
            assert took < 2.0
        assert not network.connect("device", "production", 443, 1.0).startswith("open")
        assert not network.connect("engineer", "device", 22, 1.0).startswith("open")
    finally:
        network.set_policy(policy(INTO, OUT))


def test_device_that_moves_is_followed(network: Network) -> None:
    lab = network.lab
    old, new = lab.address("device"), "203.0.113.223"
    lab.run("device", "ip", "addr", "del", f"{old}/24", "dev", "eth0")
    lab.run("device", "ip", "addr", "add", f"{new}/24", "dev", "eth0")
    wait_until(
        lambda: network.connect("device", "production", 443, 2.0) == "open production", "traffic"
    )
