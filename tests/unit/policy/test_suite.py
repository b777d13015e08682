"""Suites in files of their own."""

from __future__ import annotations

import pytest

from policy.source import Source
from policy.suite import LoadedSuite, load_suite


def suite(text: str) -> LoadedSuite:
    return load_suite(Source("a.test.hujson", text))


def test_every_field_of_a_test() -> None:
    loaded = suite(
        '{"tests": [{"name": "n", "src": ["a@x.test", "tag:b"], "proto": "UDP",'
        ' "accept": ["*:53"], "deny": ["tag:c:1-9"], "via": "tag:r", "capabilities": ["x.test/c"],'
        ' "noCapabilities": "x.test/d", "on": "tag:e", "srcPostureAttrs": {"node:os": "linux"}}]}'
    )
    (case,) = loaded.tests
    assert not loaded.diagnostics
    assert case.suite
    assert case.name == "n"
    assert [term.text for term in case.src] == ["a@x.test", "tag:b"]
    assert case.protocol == "UDP"
    assert [term.text for term in case.via] == ["tag:r"]
    assert [term.text for term in case.no_capabilities] == ["x.test/d"]
    assert [term.text for term in case.on] == ["tag:e"]
    assert case.posture_attributes == {"node:os": "linux"}


def test_every_field_of_an_ssh_test() -> None:
    loaded = suite(
        '{"sshTests": [{"name": "n", "src": "a@x.test", "dst": "tag:b",'
        ' "accept": ["root"], "check": ["app"], "deny": ["db"]}]}'
    )
    (case,) = loaded.ssh_tests
    assert [term.text for term in case.dst] == ["tag:b"]
    assert [term.text for term in (*case.accept, *case.check, *case.deny)] == ["root", "app", "db"]


def test_cases_know_their_source() -> None:
    assert suite('{"tests": [{}]}').tests[0].source.name == "a.test.hujson"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[]", "POL201"),
        ("{", "POL102"),
        ('{"acls": []}', "POL202"),
        ('{"tests": [{"dst": []}]}', "POL202"),
        ('{"tests": [{"name": 1}]}', "POL201"),
        ('{"tests": [{"srcPostureAttrs": {"node:os": []}}]}', "POL201"),
    ],
)
def test_mistakes_leave_no_case(text: str, code: str) -> None:
    loaded = suite(text)
    assert [found.code for found in loaded.diagnostics] == [code]
    assert loaded.tests == ()
    assert loaded.ssh_tests == ()
