from __future__ import annotations

from typing import TYPE_CHECKING

from engine.compile.network import CompiledNetwork
from engine.inventory import read_inventory
from policy.load import load
from policy.source import Source
from tests.support.console import run_policy

if TYPE_CHECKING:
    from pathlib import Path


def test_json_is_what_the_engine_says_of_every_node(policy: Path, inventory: Path) -> None:
    loaded = load(Source("p", policy.read_text()))
    assert loaded.policy is not None
    network = CompiledNetwork(loaded.policy, read_inventory(inventory.read_bytes()))
    ran = run_policy("compile", policy, "-i", inventory, "-f", "json")
    assert ran.code == 0
    assert ran.json() == {
        "nodes": {
            node.hostname: network.node_to_wire(node.index) for node in network.directory.nodes
        }
    }


def test_one_node_can_be_asked_for(policy: Path, inventory: Path) -> None:
    ran = run_policy("compile", policy, "-i", inventory, "--node", "web", "-f", "json")
    assert list(ran.json()["nodes"]) == ["web"]


def test_parts_can_be_asked_for(policy: Path, inventory: Path) -> None:
    whole = run_policy("compile", policy, "-i", inventory, "-f", "json").json()["nodes"]["web"]
    for part, value in whole.items():
        ran = run_policy(
            "compile", policy, "-i", inventory, "--node", "web", "--only", part, "-f", "json"
        )
        assert ran.json() == {"nodes": {"web": {part: value}}}


def test_an_unknown_part_is_refused(policy: Path, inventory: Path) -> None:
    ran = run_policy("compile", policy, "-i", inventory, "--only", "filter")
    assert ran.code == 2
    assert "packetFilter, sshPolicy" in ran.stderr


def test_an_unknown_node_is_refused_with_the_nearest(policy: Path, inventory: Path) -> None:
    ran = run_policy("compile", policy, "-i", inventory, "--node", "webb")
    assert ran.code == 2
    assert "did you mean `web`?" in ran.stderr


def test_text_names_the_lines_that_rules_come_from(policy: Path, inventory: Path) -> None:
    shown = run_policy("compile", "policy.hujson", "-i", inventory, "--node", "web").stdout
    assert shown.startswith("web (tag:web) 100.64.0.20 fd7a:115c:a1e0::14\n")
    assert (
        "    100.64.0.9 fd7a:115c:a1e0::9 -> 100.64.0.20:443 [fd7a:115c:a1e0::14]:443"
        "  [acls[0] policy.hujson:6]\n"
    ) in shown


def test_an_invalid_policy_is_not_compiled(folder: Path, inventory: Path) -> None:
    path = folder / "p.hujson"
    path.write_text('{"acls": [{"action": "drop"}]}')
    ran = run_policy("compile", path, "-i", inventory, "-f", "json")
    assert ran.code == 1
    assert ran.stdout == ""
    assert "POL210" in ran.stderr


def test_an_inventory_is_needed(policy: Path) -> None:
    ran = run_policy("compile", policy)
    assert ran.code == 2
    assert "--inventory" in ran.stderr


def test_an_unusable_inventory_is_told(policy: Path, folder: Path) -> None:
    bad = folder / "bad.json"
    bad.write_text('{"devices": [{"hostname": 1, "addresses": "x"}]}')
    ran = run_policy("compile", policy, "-i", bad)
    assert ran.code == 2
    assert "not a usable inventory: devices.0.addresses" in ran.stderr


def test_output_goes_to_a_file_where_that_is_asked_for(
    policy: Path, inventory: Path, folder: Path
) -> None:
    out = folder / "out.json"
    ran = run_policy("compile", policy, "-i", inventory, "-f", "json", "-o", out)
    assert ran[:2] == (0, "")
    assert out.read_text().startswith('{"nodes":{')


def test_a_policy_without_sections_names_the_default(folder: Path, inventory: Path) -> None:
    path = folder / "p.hujson"
    path.write_text("{}")
    shown = run_policy("compile", path, "-i", inventory, "--only", "packetFilter").stdout
    assert "everything is allowed" in shown
