from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from policy.cli.exit_codes import CannotRunError
from policy.cli.explain import Target, read_target
from tests.support.console import run_policy

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("web", Target("web", None)),
        ("web:443", Target("web", 443)),
        ("tag:web", Target("tag:web", None)),
        ("tag:web:443", Target("tag:web", 443)),
        ("tag:web:*", Target("tag:web", None)),
        ("100.64.0.9:22", Target("100.64.0.9", 22)),
        ("fd7a::1:22", Target("fd7a::1:22", None)),
        ("[fd7a::1]:22", Target("fd7a::1", 22)),
        ("[fd7a::1]", Target("fd7a::1", None)),
        ("autogroup:internet:443", Target("autogroup:internet", 443)),
        ("web:0", Target("web", 0)),
    ],
)
def test_a_destination_may_have_a_port(text: str, target: Target) -> None:
    assert read_target(text) == target


@pytest.mark.parametrize("text", ["web:65536", "web:" + "9" * 5000, "[fd7a::1", "[fd7a::1]22"])
def test_a_port_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(CannotRunError):
        read_target(text)


def test_what_is_allowed_names_its_rule(policy: Path, inventory: Path) -> None:
    ran = run_policy("explain", "policy.hujson", "lap", "web:443", "-i", inventory)
    assert ran.code == 0
    assert ran.stdout.startswith("allowed: lap to web:443\n")
    assert "acls[0] --> policy.hujson:6:3" in ran.stdout


def test_what_is_denied_names_the_nearest_rules(policy: Path, inventory: Path) -> None:
    ran = run_policy("explain", "policy.hujson", "lap", "web:22", "-i", inventory)
    assert ran.code == 1
    assert "nearest rules:" in ran.stdout
    assert "does not match: port 22 is not in 443" in ran.stdout


def test_json_has_verdict_rules_and_reasons(policy: Path, inventory: Path) -> None:
    ran = run_policy("explain", policy, "lap", "web:22", "-i", inventory, "-f", "json")
    told = ran.json()
    assert told["verdict"] == "denied"
    assert (told["nearest"][0]["section"], told["nearest"][0]["line"]) == ("acls", 6)
    assert told["nearest"][0]["reasons"] == ["port 22 is not in 443"]


def test_json_of_what_is_allowed_has_the_rule_s_place(policy: Path, inventory: Path) -> None:
    ran = run_policy("explain", policy, "lap", "web:443", "-i", inventory, "-f", "json")
    assert all(answer["rules"][0]["line"] == 6 for answer in ran.json()["answers"])


def test_the_default_of_allowing_everything_is_told(folder: Path, inventory: Path) -> None:
    path = folder / "p.hujson"
    path.write_text("{}")
    ran = run_policy("explain", path, "lap", "web:22", "-i", inventory)
    assert ran.code == 0
    assert "a policy with neither acls nor grants allows everything" in ran.stdout


def test_a_bad_question_cannot_be_answered(policy: Path, inventory: Path) -> None:
    ran = run_policy("explain", policy, "lapp", "web:22", "-i", inventory)
    assert ran.code == 2
    assert "lapp" in ran.stderr


def test_an_unknown_protocol_cannot_be_answered(policy: Path, inventory: Path) -> None:
    ran = run_policy("explain", policy, "lap", "web:22", "-i", inventory, "--proto", "xyz")
    assert ran.code == 2
    assert "xyz" in ran.stderr


def test_an_invalid_policy_explains_nothing(folder: Path, inventory: Path) -> None:
    path = folder / "p.hujson"
    path.write_text("[]")
    ran = run_policy("explain", path, "lap", "web", "-i", inventory)
    assert ran.code == 1
    assert ran.stdout == ""
