"""What suites ask beyond the service's own tests: own devices, and carriers port by port."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.inventory import read_inventory
from engine.testing.report import Outcome
from engine.testing.run import run_tests
from policy.load import load
from policy.source import Source
from policy.suite import load_suite

INVENTORY = read_inventory(
    json.dumps(
        {
            "users": [
                {"id": "1", "loginName": "ann@corp.example", "role": "owner"},
                {"id": "2", "loginName": "bo@corp.example"},
            ],
            "devices": [
                {"hostname": "lap", "addresses": ["100.64.0.1"], "user": "ann@corp.example"},
                {"hostname": "pad", "addresses": ["100.64.0.2"], "user": "ann@corp.example"},
                {"hostname": "desk", "addresses": ["100.64.0.3"], "user": "bo@corp.example"},
                {
                    "hostname": "router",
                    "addresses": ["100.64.0.4"],
                    "tags": ["tag:router"],
                    "advertisedRoutes": ["10.9.0.0/16"],
                    "enabledRoutes": ["10.9.0.0/16"],
                },
            ],
        }
    )
)
OWN = {
    "acls": [{"action": "accept", "src": ["autogroup:member"], "dst": ["autogroup:self:22"]}],
}
VIA = {
    "tagOwners": {"tag:router": []},
    "grants": [
        {
            "src": ["ann@corp.example"],
            "dst": ["10.9.0.0/16"],
            "ip": ["tcp:22", "tcp:443"],
            "via": ["tag:router"],
        }
    ],
}


def outcome(policy: dict[str, Any], case: dict[str, Any], *, imagined: bool = False) -> Outcome:
    loaded = load(Source("policy", json.dumps(policy)))
    suite = load_suite(Source("suite", json.dumps({"tests": [case]})))
    assert loaded.policy is not None, loaded.diagnostics
    assert not suite.diagnostics
    report = run_tests(loaded.policy, None if imagined else INVENTORY, suite.tests, ())
    return report.results[0].outcome


@pytest.mark.parametrize("imagined", [False, True])
@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ({"src": "ann@corp.example", "accept": ["ann@corp.example:22"]}, Outcome.PASSED),
        ({"src": "ann@corp.example", "deny": ["ann@corp.example:22"]}, Outcome.FAILED),
        ({"src": "ann@corp.example", "deny": ["ann@corp.example:23-65535"]}, Outcome.PASSED),
        ({"src": "ann@corp.example", "deny": ["bo@corp.example:*"]}, Outcome.PASSED),
    ],
)
def test_own_devices_count(case: dict[str, Any], expected: Outcome, *, imagined: bool) -> None:
    assert outcome(OWN, case, imagined=imagined) is expected


@pytest.mark.parametrize(
    ("assertion", "expected"),
    [
        ({"accept": ["10.9.1.0/24:22,443"]}, Outcome.PASSED),
        ({"accept": ["10.9.1.0/24:22-443"]}, Outcome.FAILED),
        ({"deny": ["10.9.1.0/24:*"]}, Outcome.FAILED),
        ({"deny": ["10.9.1.1:22,23"]}, Outcome.FAILED),
        ({"deny": ["10.9.1.1:23-442"]}, Outcome.PASSED),
        ({"deny": ["10.10.0.0/16:22"]}, Outcome.FAILED),
    ],
)
def test_carriers_are_asked_port_by_port(assertion: dict[str, Any], expected: Outcome) -> None:
    case = {"src": "ann@corp.example", "proto": "tcp", "via": "tag:router", **assertion}
    assert outcome(VIA, case) is expected
