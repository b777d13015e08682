from __future__ import annotations

import json
from typing import Any

import pytest

from engine.compile.network import CompiledNetwork
from engine.inventory import read_inventory
from policy.cli.compiled_json import compiled_json
from policy.load import load
from policy.source import Source


def _network(devices: int) -> CompiledNetwork:
    policy = load(Source("p", "{}")).policy
    assert policy is not None
    listed: list[dict[str, Any]] = [
        {"hostname": f"n{i}", "addresses": [f"100.64.{i >> 8}.{i & 255}"], "user": "a@b.test"}
        for i in range(devices)
    ]
    inventory = {"users": [{"loginName": "a@b.test"}], "devices": listed}
    return CompiledNetwork(policy, read_inventory(json.dumps(inventory)))


def test_nodes_are_told_one_at_a_time() -> None:
    pieces = compiled_json(_network(50), range(50), ("packetFilter",))
    assert next(pieces) == '{"nodes":{'
    assert next(pieces).startswith('\n"n0":{"packetFilter":')


def test_the_pieces_are_one_document() -> None:
    text = "".join(compiled_json(_network(3), [2, 0], ("packetFilter", "peers")))
    nodes = json.loads(text)["nodes"]
    assert list(nodes) == ["n2", "n0"]
    assert set(nodes["n2"]["peers"]) == {"n0", "n1"}


def test_no_nodes_are_a_document() -> None:
    assert json.loads("".join(compiled_json(_network(0), [], ("peers",)))) == {"nodes": {}}


def test_an_unknown_part_is_a_fault_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no such part"):
        list(compiled_json(_network(1), [0], ("filter",)))
