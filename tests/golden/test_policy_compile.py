"""What the devices of small tailnets are told: filters, SSH policies, peers and capabilities.

A case says in front what it is about, and holds a policy, a tailnet and what some devices must be
told; `*` stands for every device not named. Rules are written briefly, `dst` as address and
ports, SSH actions by name; see `brief`, which loses nothing of the wire's form.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from engine.compile.network import CompiledNetwork
from engine.evaluate.capabilities import PeerCapabilities
from engine.inventory import read_inventory
from policy.hujson.format import format_source
from policy.hujson.parse import parse
from policy.hujson.plain import to_python
from policy.hujson.tree import Object
from policy.load import load
from policy.source import Source
from tests.support.policy_golden import REWRITE, cases, inventory

if TYPE_CHECKING:
    from engine.directory import Directory, DirectoryNode

CASES = cases("compile")

ACTIONS: dict[str, dict[str, Any]] = {
    "accept": {
        "accept": True,
        "allowAgentForwarding": True,
        "allowLocalPortForwarding": True,
        "allowRemotePortForwarding": True,
    },
    "check": {
        "holdAndDelegate": "https://unused/machine/ssh/action/$SRC_NODE_ID/to/$DST_NODE_ID"
        "?local_user=$LOCAL_USER"
    },
}


def brief(told: dict[str, Any]) -> dict[str, Any]:
    """Spell what one device is told as cases do."""
    return {
        "filter": [_brief_rule(dict(rule)) for rule in told["packetFilter"]],
        "ssh": [_brief_ssh(dict(rule)) for rule in told["sshPolicy"]["rules"]],
        "peers": told["peers"],
        "selfAllowedIPs": told["selfAllowedIPs"],
        "selfCapMap": told["selfCapMap"],
    }


def _brief_rule(rule: dict[str, Any]) -> dict[str, Any]:
    short = {"src": rule.pop("SrcIPs")}
    if "IPProto" in rule:
        short["proto"] = rule.pop("IPProto")
    if "DstPorts" in rule:
        short["dst"] = [
            f"{entry['IP']} {_ports(**entry['Ports'])}" for entry in rule.pop("DstPorts")
        ]
    if "CapGrant" in rule:
        short["grants"] = [
            {"dsts": grant["Dsts"], "caps": grant["CapMap"]} for grant in rule.pop("CapGrant")
        ]
    assert not rule
    return short


def _ports(First: int, Last: int) -> str:  # noqa: N803  the wire's own names
    if (First, Last) == (0, 65535):
        return "*"
    return str(First) if First == Last else f"{First}-{Last}"


def _brief_ssh(rule: dict[str, Any]) -> dict[str, Any]:
    action = rule.pop("action")
    short = {
        "principals": [principal["nodeIP"] for principal in rule.pop("principals")],
        "users": rule.pop("sshUsers"),
        "action": next((name for name, spelt in ACTIONS.items() if spelt == action), action),
    }
    if "acceptEnv" in rule:
        short["acceptEnv"] = rule.pop("acceptEnv")
    assert not rule
    return short


def tailnet(wanted: str | dict[str, Any]) -> Directory:
    """Return a shared tailnet by name, or the one that a case brings along."""
    return inventory(wanted) if isinstance(wanted, str) else read_inventory(json.dumps(wanted))


def compiled(case: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what each device is told, briefly."""
    directory = tailnet(case["inventory"])
    loaded = load(Source("case.hujson", json.dumps(case["policy"])), domains=directory.domains)
    assert loaded.policy is not None, [found.message for found in loaded.diagnostics]
    network = CompiledNetwork(loaded.policy, directory)
    return {
        node.hostname: {**brief(network.node_to_wire(node.index)), "whois": whois(network, node)}
        for node in directory.nodes
    }


def whois(network: CompiledNetwork, node: DirectoryNode) -> dict[str, Any]:
    """Return what a device is answered about the addresses that hold any capability on it."""
    capabilities = PeerCapabilities(network.packet_filters[node.index])
    answers = {
        str(address): capabilities.granted(address, own)
        for peer in network.directory.nodes
        for address in peer.addresses
        for own in node.addresses
        if own.version == address.version
    }
    return {address: granted for address, granted in answers.items() if granted is not None}


@pytest.mark.parametrize("name", CASES)
def test_devices_are_told_what_the_case_says(name: str) -> None:
    text = CASES[name].read_text(encoding="utf-8")
    root = parse(Source(name, text)).root
    assert isinstance(root, Object)
    case = to_python(root)
    told = compiled(case)
    expected = {host: case["expect"].get(host) or case["expect"].get("*", {}) for host in told}
    actual = {host: {part: told[host][part] for part in expected[host]} for host in told}
    if REWRITE and actual != expected:
        _rewrite(name, text, root, case["expect"], actual)
        return
    assert actual == expected


def test_every_device_that_a_case_names_exists() -> None:
    for path in CASES.values():
        case = to_python(_root(path.read_text(encoding="utf-8")))
        known = {node.hostname for node in tailnet(case["inventory"]).nodes}
        assert set(case["expect"]) <= {*known, "*"}


def _root(text: str) -> Object:
    root = parse(Source("case.hujson", text)).root
    assert isinstance(root, Object)
    return root


def _rewrite(
    name: str, text: str, root: Object, expected: dict[str, Any], actual: dict[str, Any]
) -> None:
    """Put what devices are told now in place of what the case expects; comments outside stay."""
    others = [told for host, told in actual.items() if host not in expected]
    fresh = {host: actual[host] for host in expected if host != "*"}
    if "*" in expected and all(told == others[0] for told in others):
        fresh["*"] = others[0]
    else:
        fresh |= {host: told for host, told in actual.items() if host not in expected and told}
    span = next(member.value.span for member in root.members if member.name.value == "expect")
    spelt = json.dumps(fresh, ensure_ascii=False)
    fresh_text = format_source(Source(name, text[: span.start] + spelt + text[span.end :]))
    CASES[name].write_text(fresh_text, encoding="utf-8")
