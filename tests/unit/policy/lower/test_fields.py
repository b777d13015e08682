"""Fields: names in any case, synonyms, null, types, places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from policy.load import load
from policy.source import Source

if TYPE_CHECKING:
    from policy.diagnostics.diagnostic import Diagnostic
    from policy.model.document import Policy


def accepted(text: str) -> Policy:
    loaded = load(Source("policy", text))
    assert loaded.policy is not None, loaded.diagnostics
    return loaded.policy


def refused(text: str) -> tuple[Diagnostic, ...]:
    loaded = load(Source("policy", text))
    assert loaded.policy is None
    return loaded.diagnostics


def marked(text: str, found: Diagnostic) -> str:
    return text[found.span.start : found.span.end]


@pytest.mark.parametrize(
    "text",
    [
        '{"ACLs": [{"Action": "accept", "SRC": ["*"], "Dst": ["*:*"]}]}',
        '{"acls": [{"action": "accept", "users": ["*"], "ports": ["*:*"]}]}',
    ],
)
def test_names_match_in_any_case_and_by_synonym(text: str) -> None:
    acls = accepted(text).acls
    assert acls is not None
    assert str(acls[0].src[0]) == "*"
    assert str(acls[0].dst[0].selector) == "*"


def test_tests_have_synonyms_too() -> None:
    case = accepted('{"tests": [{"user": "a@x.test", "allow": ["b@x.test:22"]}]}').tests[0]
    assert case.src[0].text == "a@x.test"
    assert case.accept[0].text == "b@x.test:22"


def test_name_in_another_script_does_not_match() -> None:
    # U+017F is an s to those who fold case beyond ASCII.
    assert refused('{"acl\u017f": []}')[0].code == "POL202"


def test_field_and_its_synonym_together() -> None:
    text = '{"acls": [{"action": "accept", "src": ["*"], "users": ["*"], "dst": ["*:*"]}]}'
    found = refused(text)
    assert [d.code for d in found] == ["POL203"]
    assert marked(text, found[0]) == '"users"'


@pytest.mark.parametrize("field", ["src", "dst", "proto", "srcPosture"])
def test_null_is_absent(field: str) -> None:
    accepted(f'{{"acls": [{{"action": "accept", "{field}": null}}]}}')


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ('{"acls": {}}', "acls: expected an array, found an object", "{}"),
        ('{"acls": [1]}', "acls entry: expected an object, found a number", "1"),
        (
            '{"acls": [{"action": "accept", "src": "*"}]}',
            "src: expected an array, found a string",
            '"*"',
        ),
        (
            '{"acls": [{"action": "accept", "src": [null]}]}',
            "src entry: expected a string, found null",
            "null",
        ),
        ('{"groups": []}', "groups: expected an object, found an array", "[]"),
        (
            '{"groups": {"group:a": "x"}}',
            'groups["group:a"]: expected an array of strings, found a string',
            '"x"',
        ),
        ('{"hosts": {"a": 1}}', 'hosts["a"]: expected a string, found a number', "1"),
        (
            '{"randomizeClientPort": "yes"}',
            "randomizeClientPort: expected true or false, found a string",
            '"yes"',
        ),
    ],
)
def test_wrong_types_are_named_and_placed(text: str, message: str, place: str) -> None:
    found = refused(text)
    assert (found[0].code, found[0].message) == ("POL201", message)
    assert marked(text, found[0]) == place


def test_place_is_inside_the_quotes_behind_blanks_and_escapes() -> None:
    text = '{"acls": [{"action": "accept", "src": [" \\u0074ag:nope\\t"], "dst": ["*:*"]}]}'
    found = refused(text)
    assert found[0].message == 'src=tag not found: "tag:nope"'
    assert marked(text, found[0]) == "\\u0074ag:nope"


def test_nearest_name_is_offered() -> None:
    assert refused('{"grops": {}}')[0].help == "did you mean `groups`?"


def test_nothing_is_offered_where_nothing_is_near() -> None:
    assert refused('{"zzz": {}}')[0].help is None


def test_data_keeps_its_case() -> None:
    groups = accepted('{"groups": {"group:Dev": [], "group:dev": []}}').groups
    assert list(groups) == ["group:Dev", "group:dev"]
