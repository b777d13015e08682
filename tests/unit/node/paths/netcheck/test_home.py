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


def chosen(**latency_ms: int) -> HomeChooser:
    chooser = HomeChooser()
    chooser.choose(
        {int(region[1:]): ms * 1_000_000 for region, ms in latency_ms.items()},
        started_at=0,
        now=1,
        heard_at={},
    )
    return chooser


ALL = {1, 2, 3, 4}


def test_home_that_fails_is_left_for_the_next_nearest() -> None:
    chooser = chosen(r1=5, r2=40, r3=20)
    assert chooser.leave({}, ALL, 9) == 1, "nothing failed"
    assert chooser.leave({1: 10}, ALL, 10) == 3
    assert chooser.leave({1: 10, 3: 11}, ALL, 11) == 2
    assert chooser.leave({1: 10, 3: 11, 2: 12}, ALL, 12) == 4, "not measured, but not failing"
    assert chooser.leave({1: 10, 3: 11, 2: 12, 4: 13}, ALL, 13) == 4, "nowhere to go"
    assert chooser.leave({1: 10, 3: 11, 2: 12, 4: 25}, ALL, 25) == 1, "longest ago"


def test_failing_region_is_no_home_for_a_minute_however_near_it_measures() -> None:
    chooser = chosen(r1=5, r2=40)
    chooser.leave({1: 2}, {1, 2}, 2)
    again = {1: 5_000_000, 2: 40_000_000}
    assert chooser.choose(again, started_at=2, now=62, heard_at={}, failed_at={1: 2}) == 2
    assert chooser.choose(again, started_at=4, now=63, heard_at={}, failed_at={1: 2}) == 1


def test_frames_from_before_a_failed_dial_keep_no_home() -> None:
    chooser = chosen(r1=5, r2=40)
    other = {2: 40_000_000}
    assert chooser.choose(other, started_at=8, now=9, heard_at={1: 7}) == 1
    assert chooser.choose(other, started_at=9, now=10, heard_at={1: 7}, failed_at={1: 8}) == 2


def test_home_is_kept_while_nothing_can_be_measured_for_two_minutes() -> None:
    chooser = chosen(r1=5)
    assert chooser.choose({}, started_at=90, now=100, heard_at={1: 7}, failed_at={1: 8}) == 1
    assert chooser.choose({}, started_at=120, now=128, heard_at={1: 7}, failed_at={1: 8}) == 0
