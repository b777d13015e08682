"""`ipsets`: steps, cycles and long chains."""

from __future__ import annotations

import json

from policy.load import load
from policy.source import Source


def codes(policy: dict[str, object]) -> list[str]:
    return [found.code for found in load(Source("policy", json.dumps(policy))).diagnostics]


def test_bare_entries_add() -> None:
    loaded = load(Source("policy", '{"ipsets": {"ipset:a": ["10.0.0.0/8", "10.1.0.0/16"]}}'))
    assert loaded.policy is not None
    assert [entry.add for entry in loaded.policy.ipsets["ipset:a"].entries] == [True, True]


def test_keywords_and_bare_entries_do_not_mix() -> None:
    assert codes({"ipsets": {"ipset:a": ["add 10.0.0.0/8", "10.1.0.0/16"]}}) == ["POL230"]


def test_users_are_no_addresses() -> None:
    assert codes({"ipsets": {"ipset:a": ["ann@corp.test"]}}) == ["POL230"]


def test_cycle_is_reported_once_with_its_path() -> None:
    sets = {"ipset:a": ["ipset:b"], "ipset:b": ["ipset:c"], "ipset:c": ["ipset:a"]}
    found = load(Source("policy", json.dumps({"ipsets": sets}))).diagnostics
    assert [d.code for d in found] == ["POL307"]
    assert "ipset:a > ipset:b > ipset:c > ipset:a" in found[0].message


def test_set_that_holds_itself() -> None:
    assert codes({"ipsets": {"ipset:a": ["ipset:a"]}}) == ["POL307"]


def test_diamond_is_no_cycle() -> None:
    sets = {"ipset:a": ["ipset:b", "ipset:c"], "ipset:b": ["ipset:d"], "ipset:c": ["ipset:d"]}
    assert codes({"ipsets": {**sets, "ipset:d": ["10.0.0.0/8"]}}) == []


def test_chain_longer_than_the_stack() -> None:
    sets = {f"ipset:{i}": [f"ipset:{i + 1}"] for i in range(5000)}
    assert codes({"ipsets": {**sets, "ipset:5000": ["10.0.0.0/8"]}}) == []
