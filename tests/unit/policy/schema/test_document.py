from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from policy.hujson.parse import parse
from policy.hujson.plain import to_python
from policy.load import load
from policy.lower import (
    acls,
    cases,
    definitions,
    document,
    grants,
    node_attrs,
    settings,
    ssh,
)
from policy.lower import approvers as approver_fields
from policy.schema.document import policy_schema
from policy.source import Source

if TYPE_CHECKING:
    from collections.abc import Mapping

_ROOT = Path(__file__).parents[4]
_CORPUS = Path(os.environ.get("POSTERN_CORPUS", _ROOT.parent / "shared" / "corpus"))
_EXAMPLES = sorted(
    path
    for path in (_ROOT / "examples" / "policies").glob("*.hujson")
    if not path.name.endswith(".test.hujson")
)


@cache
def _validator() -> jsonschema.Draft202012Validator:
    schema = policy_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def _value(text: str) -> Any:
    root = parse(Source("p", text)).root
    assert root is not None
    return to_python(root)


def _refused(value: Any) -> bool:
    return not _validator().is_valid(value)


# What it accepts


@pytest.mark.parametrize("path", _EXAMPLES, ids=lambda path: path.stem)
def test_every_example_follows_the_schema(path: Path) -> None:
    _validator().validate(_value(path.read_text(encoding="utf-8")))


def test_every_recorded_policy_that_the_service_takes_follows_the_schema() -> None:
    if not _CORPUS.is_dir():
        pytest.skip(f"NOT SHOWN: no recordings in {_CORPUS}")
    checked = 0
    for path in sorted(_CORPUS.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            recording = json.loads(line)
            text = recording["policy"]
            text = text if isinstance(text, str) else json.dumps(text)
            if load(Source("p", text)).policy is not None:
                _validator().validate(_value(text))
                checked += 1
    assert checked


EVERYTHING = """{
  "groups": {"group:a": ["ann@b.test"], "group:none": null},
  "hosts": {"db": "10.0.0.1", "lan": "10.0.0.0/8"},
  "ipsets": {"ipset:x": ["add lan", "remove db"]},
  "tagOwners": {"tag:x": ["group:a"]},
  "postures": {
    "posture:p": ["node:os == 'linux'"],
    "posture:q": {"assertions": ["custom:t IS SET"], "onFailure": {"message": "no"}},
  },
  "defaultSrcPosture": ["posture:p"],
  "acls": [
    {"action": " accept ", "src": ["*"], "dst": ["tag:x:22"], "proto": "tcp",
     "srcPosture": ["posture:q"]},
    {"action": "accept", "users": ["*"], "ports": ["*:*"]},
  ],
  "grants": [{"src": ["*"], "dst": ["tag:x"], "ip": ["tcp:1"], "app": {"b.test/c": [{"x": 1}]},
              "via": ["tag:x"]}],
  "ssh": [{"action": "check", "src": ["group:a"], "dst": ["tag:x"], "users": ["root"],
           "checkPeriod": null, "acceptEnv": null, "recorder": ["tag:x"], "enforceRecorder": true}],
  "nodeAttrs": [{"target": ["*"], "attr": ["funnel"], "ipPool": ["100.81.0.0/16"]}],
  "autoApprovers": {"routes": {"10.0.0.0/8": ["tag:x"]}, "exitNode": ["tag:x"],
                    "services": {"svc:p": ["tag:x"]}},
  "derpMap": {"omitDefaultRegions": true, "regions": {"1": null, "900": {"regionID": 900,
    "nodes": [{"name": "900a", "regionID": 900, "hostName": "d.b.test", "stunPort": -1}]}}},
  "extraDNSRecords": [{"name": "x.b.test", "type": "A", "value": "100.64.0.1"}],
  "disableIPv4": false, "OneCGNATRoute": "mac-always", "randomizeClientPort": true,
  "attrConfig": {"custom:t": {"type": "string"}},
  "tests": [{"src": "ann@b.test", "accept": ["tag:x:22"], "srcPostureAttrs": {"node:os": "linux"}}],
  "sshTests": [{"src": "ann@b.test", "dst": ["tag:x"], "check": ["root"]}],
}"""


def test_every_field_of_every_section_is_known_to_both() -> None:
    assert load(Source("p", EVERYTHING)).diagnostics == ()
    _validator().validate(_value(EVERYTHING))


def test_an_empty_policy_follows_the_schema() -> None:
    _validator().validate({})


# What it refuses


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"acl": []},
        {"acls": [{"action": "accept", "source": []}]},
        {"acls": [{"action": "drop", "src": [], "dst": []}]},
        {"acls": [{"src": [], "dst": []}]},
        {"acls": {}},
        {"grants": [{"src": "*"}]},
        {"grants": [{"app": {"b.test/c": {}}}]},
        {"groups": {"engineers": []}},
        {"groups": {"group:a": "ann@b.test"}},
        {"tagOwners": {"tag:1": []}},
        {"hosts": {"tag:x": "10.0.0.1"}},
        {"hosts": {"a@b": "10.0.0.1"}},
        {"ipsets": {"x": []}},
        {"postures": {"posture:x": {"assertion": []}}},
        {"ssh": [{"action": "allow", "users": ["root"]}]},
        {"ssh": [{"action": "accept"}]},
        {"autoApprovers": {"exitNodes": []}},
        {"derpMap": {"regions": {"x": {}}}},
        {"derpMap": {"regions": {"1": {"nodes": [{"derpPort": 65536}]}}}},
        {"OneCGNATRoute": "always"},
        {"extraDNSRecords": [{"type": "MX"}]},
        {"tests": [{"source": "ann@b.test"}]},
        {"tests": [{"srcPostureAttrs": {"x": []}}]},
        {"sshTests": [{"dst": "tag:x"}]},
    ],
)
def test_what_the_service_would_refuse_is_refused(value: Any) -> None:
    assert _refused(value)
    assert load(Source("p", json.dumps(value))).policy is None


# What it is made of

_TABLES: list[tuple[Mapping[str, str], str]] = [
    (document._KNOWN, ""),
    (acls._ACL_FIELDS, "$defs/acl"),
    (grants._GRANT_FIELDS, "$defs/grant"),
    (ssh._FIELDS, "$defs/sshRule"),
    (node_attrs._FIELDS, "$defs/nodeAttr"),
    (cases._TEST_FIELDS, "$defs/test"),
    (cases._SSH_TEST_FIELDS, "$defs/sshTest"),
    (approver_fields._FIELDS, "properties/autoApprovers"),
    (settings._DERP_FIELDS, "properties/derpMap"),
    (settings._RECORD_FIELDS, "properties/extraDNSRecords/items"),
    (definitions._POSTURE_FIELDS, "properties/postures/patternProperties/^posture:./anyOf/1"),
]


@pytest.mark.parametrize(("table", "path"), _TABLES, ids=[path or "root" for _, path in _TABLES])
def test_the_schema_has_the_fields_that_the_language_has(
    table: Mapping[str, str], path: str
) -> None:
    node: Any = policy_schema()
    for step in filter(None, path.split("/")):
        node = node[int(step)] if isinstance(node, list) else node[step]
    assert {name.lower() for name in node["properties"]} == set(table)
    spelled = {name for name, field in node["properties"].items() if not field.get("deprecated")}
    assert spelled == set(table.values())


def _described(node: Any, path: str) -> list[str]:
    """Return the paths of fields without a title or description."""
    lacking = []
    if isinstance(node, dict):
        for name, field in node.get("properties", {}).items():
            if "$ref" not in field and not {"title", "description"} <= field.keys():
                lacking.append(f"{path}/{name}")
        for key, value in node.items():
            lacking.extend(_described(value, f"{path}/{key}"))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            lacking.extend(_described(value, f"{path}/{index}"))
    return lacking


def test_every_field_says_what_it_is_for() -> None:
    assert _described(policy_schema(), "") == []


def test_the_schema_says_what_it_cannot_say() -> None:
    assert "whatever their case" in policy_schema()["description"]
