from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from policy import suite
from policy.hujson.parse import parse
from policy.hujson.plain import to_python
from policy.schema.suite import suite_schema
from policy.source import Source

_EXAMPLES = sorted((Path(__file__).parents[4] / "examples" / "policies").glob("*.test.hujson"))


def _validator() -> jsonschema.Draft202012Validator:
    schema = suite_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", _EXAMPLES, ids=lambda path: path.name)
def test_every_example_follows_the_schema(path: Path) -> None:
    root = parse(Source("s", path.read_text(encoding="utf-8"))).root
    assert root is not None
    _validator().validate(to_python(root))


def test_what_only_suites_can_ask_follows_the_schema() -> None:
    case = {
        "name": "x",
        "src": ["group:a", "tag:x"],
        "accept": ["autogroup:internet:443"],
        "via": "tag:exit",
        "capabilities": ["b.test/c"],
        "noCapabilities": "b.test/d",
        "on": "tag:x",
    }
    text = json.dumps({"tests": [case], "sshTests": [{"src": "a@b.test", "dst": "tag:x"}]})
    assert suite.load_suite(Source("s", text)).diagnostics == ()
    _validator().validate(json.loads(text))


@pytest.mark.parametrize(
    "value", [{"acls": []}, {"tests": [{"port": 1}]}, {"sshTests": [{"user": "x"}]}, []]
)
def test_what_a_suite_cannot_have_is_refused(value: Any) -> None:
    assert not _validator().is_valid(value)
    assert suite.load_suite(Source("s", json.dumps(value))).diagnostics


@pytest.mark.parametrize(
    ("table", "definition"),
    [(suite._TEST_FIELDS, "test"), (suite._SSH_TEST_FIELDS, "sshTest")],
    ids=["test", "sshTest"],
)
def test_the_schema_has_the_fields_that_suites_have(table: dict[str, str], definition: str) -> None:
    fields = suite_schema()["$defs"][definition]["properties"]
    assert {name.lower() for name in fields} == set(table)
