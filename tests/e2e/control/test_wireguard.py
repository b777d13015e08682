"""A plain WireGuard device becomes a node by `nodes wg-config`."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from control.cli import main
from control.keys import NodePrivate
from node.netmap.fold import packet_filter, wireguard_only_filter
from tests.support.control_server import Control, TestNode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from node.netmap.netmap import NetMap

    Run = Callable[..., Awaitable[tuple[int, str, str]]]

POLICY: dict[str, Any] = {
    "tagOwners": {"tag:printer": []},
    "acls": [
        {"action": "accept", "src": ["ann@example.com"], "dst": ["tag:printer:631"]},
        {"action": "accept", "src": ["tag:printer"], "dst": ["ann@example.com:445"]},
    ],
}


@pytest.fixture
def run(control: Control, capsys: pytest.CaptureFixture[str]) -> Run:
    async def call(*arguments: str) -> tuple[int, str, str]:
        socket = str(control.server.config.unix_socket)
        capsys.readouterr()
        status = await asyncio.to_thread(main, [*arguments, "--socket", socket])
        out, err = capsys.readouterr()
        return status, out, err

    return call


async def put_policy(control: Control, run: Run, directory: Path, policy: dict[str, Any]) -> None:
    path = directory / "policy.hujson"
    path.write_text(json.dumps(policy))
    assert (await run("policy", "set", "-f", str(path)))[0] == 0


@pytest.fixture
async def policy(control: Control, run: Run, tmp_path: Path) -> None:
    await put_policy(control, run, tmp_path, POLICY)


@pytest.mark.usefixtures("policy")
async def test_device_is_a_peer_that_speaks_plain_wireguard(
    control: Control, run: Run, tmp_path: Path
) -> None:
    ann = await control.add_user("ann")
    node = TestNode("laptop")
    async with node.connected(control) as client:
        await node.join(client, await control.add_auth_key(ann))
        stream = node.stream(client)
        await stream.until(lambda _: True)
        assert wireguard_only_filter(stream.held) is None
        status, text, _ = await run(
            "nodes", "wg-config", "--name", "printer", "--tags", "tag:printer",
            "--endpoint", "192.0.2.7:51820",
        )  # fmt: skip
        assert status == 0
        netmap = await stream.until(
            lambda held: bool(held.peers) and wireguard_only_filter(held) is not None
        )
        (peer,) = netmap.peers.values()
        assert (peer.name, peer.is_wireguard_only) == ("printer.tail.example.", True)
        assert (peer.disco_key.is_zero, peer.home_derp) == (True, 0)
        assert [str(item) for item in peer.endpoints or ()] == ["192.0.2.7:51820"]
        assert sending(netmap) == [(["100.64.0.1"], ["100.64.0.2:631"])]
        assert [str(port.ports.first) for _, port in ports(netmap)] == ["445", "445"]
        edited = {**POLICY, "acls": POLICY["acls"][1:]}
        await put_policy(control, run, tmp_path, edited)
        await stream.until(lambda held: wireguard_only_filter(held) == ())
    lines = text.splitlines()
    private = next(line for line in lines if line.startswith("PrivateKey = "))
    key = NodePrivate(base64.b64decode(private.removeprefix("PrivateKey = ")))
    assert key.public == peer.key, "the file fits the node"
    assert f"PublicKey = {base64.b64encode(node.key.public.raw).decode()}" in lines
    assert "Address = 100.64.0.2/32, fd7a:115c:a1e0::2/128" in lines
    assert "AllowedIPs = 100.64.0.1/32, fd7a:115c:a1e0::1/128" in lines
    assert "Endpoint = 192.0.2.1:41641" in lines
    assert "ListenPort = 51820" in lines


def sending(netmap: NetMap) -> list[tuple[list[str], list[str]]]:
    """Return the IPv4 part of what the node may send to plain devices."""
    return [
        (
            [source for source in rule.src_ips if ":" not in source],
            [f"{ip}:{span.first}" for ip, span in rule.dst_ports if ":" not in ip],
        )
        for rule in wireguard_only_filter(netmap) or ()
    ]


def ports(netmap: NetMap) -> list[tuple[str, Any]]:
    return [(item.ip, item) for rule in packet_filter(netmap) for item in rule.dst_ports]


@pytest.mark.usefixtures("policy")
async def test_file_is_printed_again_and_peers_can_be_placed(control: Control, run: Run) -> None:
    ann = await control.add_user("ann")
    node = TestNode("laptop")
    async with node.connected(control) as client:
        await node.join(client, await control.add_auth_key(ann))
    key = base64.b64encode(NodePrivate.generate(bytes_of).public.raw).decode()
    entered = ("--name", "printer", "-t", "tag:printer", "--public-key", key)
    status, text, _ = await run("nodes", "wg-config", *entered)
    assert status == 0
    assert "PrivateKey = PASTE-THE-PRIVATE-KEY-OF-THIS-DEVICE" in text
    assert "says nowhere where it is" in text
    status, text, _ = await run(
        "nodes", "wg-config", "-i", "2", "--peer-endpoint", "laptop=home.test:41641"
    )
    assert status == 0
    assert "Endpoint = home.test:41641\nPersistentKeepalive = 25" in text
    status, _, err = await run("nodes", "wg-config", *entered)
    assert (status, "node 2, printer, has that name or key already" in err) == (1, True)


def bytes_of(count: int) -> bytes:
    return bytes(range(1, count + 1))


@pytest.mark.usefixtures("policy")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name a new device with --name"),
        (("--name", "Printer!", "-t", "tag:printer"), "node name 'Printer!'"),
        (("--name", "printer"), "belongs to a user or has tags"),
        (("--name", "printer", "-u", "zoe"), "there is no one user 'zoe'"),
        (("--name", "printer", "-t", "tag:none"), "not in the policy's tagOwners"),
        (("--name", "printer", "-t", "tag:printer", "--public-key", "short"), "44 characters"),
        (("--name", "printer", "-t", "tag:printer", "--endpoint", "here"), "ADDRESS:PORT"),
        (("-i", "1", "--peer-endpoint", "laptop"), "expected NAME=HOST:PORT"),
        (("-i", "9"), "there is no node 9"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    run: Run, arguments: tuple[str, ...], said: str
) -> None:
    status, _, err = await run("nodes", "wg-config", *arguments)
    assert (status, said in err) == (1, True), err


@pytest.mark.usefixtures("policy")
async def test_node_that_asks_for_itself_has_no_file(control: Control, run: Run) -> None:
    node = TestNode("laptop")
    async with node.connected(control) as client:
        await node.join(client, await control.add_auth_key(await control.add_user("ann")))
    status, _, err = await run("nodes", "wg-config", "-i", "1")
    assert (status, "no plain WireGuard device" in err) == (1, True)
