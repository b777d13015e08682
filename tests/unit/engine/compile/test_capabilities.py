"""What nodes are told of themselves: policy reference 7."""

from __future__ import annotations

from typing import Any

import pytest

from engine.compile.network import CompiledNetwork
from tests.support.small_tailnet import ADA, BEN, SLATE, directory, network, policy

CAP = "https://tailscale.com/cap/"
TARGETS = {
    "*": {"slate", "tower", "brick", "shop", "vault", "gate", "port"},
    ADA: {"slate", "tower"},
    "group:two": {"slate", "tower", "brick"},
    "autogroup:member": {"slate", "tower", "brick"},
    "autogroup:tagged": {"shop", "vault", "gate", "port"},
    "tag:shop": {"shop"},
    "autogroup:owner": {"slate", "tower"},
    "autogroup:admin": {"slate", "tower"},
    "till": {"shop"},
    "100.70.0.20": {"shop"},
    "100.70.0.8/30": {"slate", "tower", "brick"},
}


def caps(compiled: CompiledNetwork, name: str) -> dict[str, Any]:
    return compiled.capabilities.self_map(compiled.directory.by_hostname[name].index)


def test_every_node_has_the_baseline() -> None:
    found = caps(network(), "shop")
    assert found["tailnet-display-name"] == [ADA]
    assert {f"{CAP}ssh", f"{CAP}file-sharing", f"{CAP}tailnet-lock", "ssh-env-vars"} <= set(found)
    assert "default-auto-update" not in found


def test_names_are_sorted() -> None:
    names = list(caps(network(nodeAttrs=[{"target": ["*"], "attr": ["zz", "aa"]}]), "shop"))
    assert names == sorted(names)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("slate", {f"{CAP}is-admin", f"{CAP}is-owner"}),
        ("brick", set()),
        ("shop", {f"{CAP}is-owner"}),
    ],
)
def test_roles_show_and_tagged_nodes_pass_for_the_owners(name: str, expected: set[str]) -> None:
    assert {cap for cap in caps(network(), name) if f"{CAP}is-" in cap} == expected


@pytest.mark.parametrize(("target", "expected"), TARGETS.items())
def test_targets_name_devices(target: str, expected: set[str]) -> None:
    compiled = network(
        groups={"group:two": [ADA, BEN]},
        hosts={"till": "100.70.0.20"},
        nodeAttrs=[{"target": [target], "attr": ["probe"]}],
    )
    names = {node.hostname for node in compiled.directory.nodes}
    assert {name for name in names if "probe" in caps(compiled, name)} == expected


def test_any_string_passes_through() -> None:
    attr = "https://mesh.test/cap/x?y=1"
    assert caps(network(nodeAttrs=[{"target": ["*"], "attr": [attr]}]), "shop")[attr] is None


def test_funnel_brings_two_more() -> None:
    found = caps(network(nodeAttrs=[{"target": ["*"], "attr": ["funnel"]}]), "shop")
    assert f"{CAP}funnel-ports?ports=443,8443,10000" in found
    assert f"{CAP}warn-funnel-no-https" in found


def test_funnel_does_not_warn_where_there_are_certificates() -> None:
    loaded = policy(nodeAttrs=[{"target": ["*"], "attr": ["funnel"]}])
    told = directory(SLATE, tailnetSettings={"https_enabled": True})
    assert f"{CAP}warn-funnel-no-https" not in caps(CompiledNetwork(loaded, told), "slate")


@pytest.mark.parametrize("setting", [True, False])
def test_the_update_setting_is_told(setting: bool) -> None:
    told = directory(SLATE, tailnetSettings={"devices_auto_updates_on": setting})
    assert caps(CompiledNetwork(policy(), told), "slate")["default-auto-update"] == [setting]


def test_a_random_port_is_for_all() -> None:
    assert "randomize-client-port" in caps(network(randomizeClientPort=True), "brick")


def test_connectors_keep_their_values() -> None:
    value = [{"name": "x", "connectors": ["tag:gate"], "domains": ["x.test"]}]
    entry = {"target": ["*"], "app": {"tailscale.com/app-connectors": value}}
    assert caps(network(nodeAttrs=[entry]), "gate")["tailscale.com/app-connectors"] == value


def test_exit_nodes_are_suggested_to_others_only() -> None:
    compiled = network()
    port = compiled.directory.by_hostname["port"].index
    assert compiled.capabilities.peer_map(port) == {"suggest-exit-node": None}
    assert "suggest-exit-node" not in caps(compiled, "port")
    assert compiled.capabilities.peer_map(compiled.directory.by_hostname["gate"].index) == {}
