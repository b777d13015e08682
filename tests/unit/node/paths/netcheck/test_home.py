"""Home selection against the recorded scenarios."""

from __future__ import annotations

from typing import Any

import pytest

from node.paths.netcheck.home import HomeChooser
from tests.support.vectors import load

CASES = load("paths", "netcheck_home")["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_recorded_scenario(case: dict[str, Any]) -> None:
    chooser = HomeChooser()
    now = 123.0
    scores = {int(region): score for region, score in case["region_score"].items()}
    heard = {int(r): at / 1e9 for r, at in case["last_derp_activity_ns"].items()}
    for step in case["steps"]:
        now += step["after_ns"] / 1e9
        chooser.choose(
            {int(region): latency for region, latency in step["latency_ns"].items()},
            started_at=now - 0.1,
            now=now,
            heard_at=heard,
            scores=scores,
            forced=case["forced"],
        )
    assert chooser.home == case["want"]
    assert len(chooser) == case["history_len"]
