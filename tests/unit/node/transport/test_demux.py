"""Which reader gets a datagram."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from node.transport.demux import classify

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[3] / "golden" / "datapath" / "demux.json").read_text()
)["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_vector(case: dict[str, Any]) -> None:
    kind, is_geneve = classify(bytes.fromhex(case["bytes"]))
    assert [kind.value, is_geneve] == case["expect"]
