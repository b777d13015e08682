"""Which policy is served at the start, and which texts are refused."""

from __future__ import annotations

import hashlib

from control.policies.in_force import (
    ALLOW_ALL_TEXT,
    DENY_ALL_TEXT,
    choose_stored,
    etag_of,
)
from control.store.records import PolicyVersion
from tests.support.records import NOW

GOOD, BROKEN = '{"acls": []}', '{"acls": ['
FAILING = (
    '{"hosts": {"a": "100.64.0.9", "b": "100.64.0.8"}, "acls": [],'
    ' "tests": [{"src": "a", "accept": ["b:22"]}]}'
)


def version(number: int, text: str) -> PolicyVersion:
    return PolicyVersion(id=number, text=text, author="ann", created_at=NOW)


def test_tailnet_without_a_policy_has_the_languages_default() -> None:
    chosen = choose_stored([])
    assert (chosen.text, chosen.warning) == (ALLOW_ALL_TEXT, "")
    assert chosen.policy.allows_everything


def test_newest_version_is_served() -> None:
    chosen = choose_stored([version(2, GOOD), version(1, "{}")])
    assert (chosen.version, chosen.warning) == (2, "")


def test_broken_version_falls_back_to_the_last_good_one_and_says_so() -> None:
    chosen = choose_stored([version(3, BROKEN), version(2, GOOD), version(1, "{}")])
    assert chosen.version == 2
    assert "version 3 does not load" in chosen.warning


def test_everything_is_denied_where_no_version_loads() -> None:
    chosen = choose_stored([version(1, BROKEN)])
    assert chosen.text == DENY_ALL_TEXT
    assert not chosen.policy.allows_everything
    assert "everything is denied" in chosen.warning


def test_stored_version_with_failing_tests_is_served() -> None:
    assert choose_stored([version(1, FAILING)]).warning == ""


def test_etag_changes_with_all_but_the_layout() -> None:
    assert etag_of("{}") == etag_of("{ }") != etag_of("{/* ours */}")
    assert etag_of("{}").startswith('"')
    formatted = '{"acls": []}\n'
    assert etag_of('{"acls":[]}') == f'"{hashlib.sha256(formatted.encode()).hexdigest()}"'


def test_etag_of_a_text_that_cannot_be_laid_out_is_its_own() -> None:
    assert etag_of("{") == f'"{hashlib.sha256(b"{").hexdigest()}"'
