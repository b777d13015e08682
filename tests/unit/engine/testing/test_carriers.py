"""Suites ask single devices: who carries traffic, who holds a capability."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.testing.report import Outcome
from engine.testing.run import run_tests
from policy.source import Source
from policy.suite import load_suite
from tests.support.small_tailnet import (
    ADA,
    BEN,
    SHOP,
    SITE,
    SLATE,
    device,
    directory,
    policy,
    v4,
    v6,
)

CONSOLE = "mesh.test/cap/console"
GRANTS = [
    {"src": [ADA], "dst": [SITE], "ip": ["tcp:443"], "via": ["tag:gate"]},
    {"src": [ADA], "dst": ["autogroup:internet"], "ip": ["*"], "via": ["tag:port"]},
    {"src": [ADA], "dst": ["tag:shop"], "app": {CONSOLE: [{"role": "viewer"}]}},
]


def run(case: dict[str, Any], *devices: dict[str, Any], known: bool = True) -> tuple[Outcome, str]:
    """Run one case of a suite; return its outcome and the first help text."""
    suite = load_suite(Source("small.test.hujson", json.dumps({"tests": [case]})))
    assert not suite.diagnostics
    found = directory(*devices) if known else None
    [result] = run_tests(policy(grants=GRANTS), found, suite.tests, ()).results
    return result.outcome, (result.diagnostics[0].help or "") if result.diagnostics else ""


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ({"src": ADA, "accept": ["10.20.0.0/24:443"], "via": "tag:gate", "proto": "tcp"}, True),
        ({"src": ADA, "accept": ["10.20.0.0/24:22"], "via": "tag:gate"}, False),
        ({"src": BEN, "deny": ["10.20.0.0/24:443"], "via": "tag:gate"}, True),
        ({"src": ADA, "accept": ["autogroup:internet:*"], "via": "tag:port"}, True),
        ({"src": BEN, "accept": ["autogroup:internet:443"], "via": "tag:port"}, False),
        ({"src": ADA, "accept": ["autogroup:internet:443"], "via": "tag:gate"}, False),
        ({"src": ADA, "capabilities": [CONSOLE], "on": ["tag:shop"]}, True),
        ({"src": BEN, "capabilities": [CONSOLE], "on": ["tag:shop"]}, False),
        ({"src": BEN, "noCapabilities": [CONSOLE], "on": ["tag:shop"]}, True),
        ({"src": ADA, "noCapabilities": [CONSOLE], "on": ["tag:shop"]}, False),
        ({"src": ADA, "capabilities": [CONSOLE], "on": ["tag:vault"]}, False),
    ],
)
def test_devices_are_asked(case: dict[str, Any], expected: bool) -> None:
    assert run(case)[0] is (Outcome.PASSED if expected else Outcome.FAILED)


def test_who_routes_nothing_of_it_carries_nothing() -> None:
    case = {"src": ADA, "accept": ["192.168.0.0/24:443"], "via": "tag:gate"}
    assert run(case) == (
        Outcome.FAILED,
        f"{ADA} to 192.168.0.0/24:443 (tcp or udp): no device of tag:gate routes it",
    )


def test_capabilities_are_asked_somewhere() -> None:
    outcome, why = run({"src": ADA, "capabilities": [CONSOLE]})
    assert (outcome, why) == (Outcome.FAILED, "capabilities are held on something: add `on`")


@pytest.mark.parametrize(
    "case",
    [
        {"src": ADA, "accept": ["10.20.0.0/24:443"], "via": "tag:gate"},
        {"src": ADA, "capabilities": [CONSOLE], "on": ["tag:shop"]},
    ],
)
def test_without_an_inventory_there_are_no_devices_to_ask(case: dict[str, Any]) -> None:
    assert run(case, known=False)[0] is Outcome.UNDECIDED


def test_every_device_of_a_tag_must_grant_the_capability() -> None:
    other = device("other", 60, tags=["tag:vault"])
    case = {"src": ADA, "capabilities": [CONSOLE], "on": ["autogroup:tagged"]}
    assert run(case, SLATE, SHOP)[0] is Outcome.PASSED
    assert run(case, SLATE, SHOP, other)[0] is Outcome.FAILED


def test_devices_without_a_common_version_hold_nothing_of_one_another() -> None:
    four = device("four", 61, user=ADA, addresses=[v4(61)])
    six = device("six", 62, tags=["tag:shop"], addresses=[v6(62)])
    outcome, why = run({"src": ADA, "capabilities": [CONSOLE], "on": ["tag:shop"]}, four, six)
    assert outcome is Outcome.FAILED
    assert "share no IP version" in why
