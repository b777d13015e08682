from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from engine import inventory as reader
from policy.schema.inventory import inventory_schema

_CORPUS = Path(os.environ.get("POSTERN_CORPUS", Path(__file__).parents[5] / "shared" / "corpus"))


def _validator() -> jsonschema.Draft202012Validator:
    schema = inventory_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def _aliases(model: Any) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (reader._Inventory, ()),
        (reader._User, ("$defs", "user")),
        (reader._Device, ("$defs", "device")),
    ],
    ids=["inventory", "user", "device"],
)
def test_the_schema_has_the_keys_that_are_read(model: Any, path: tuple[str, ...]) -> None:
    node = inventory_schema()
    for step in path:
        node = node[step]
    assert set(node["properties"]) == _aliases(model)


def test_recorded_inventories_follow_the_schema() -> None:
    if not _CORPUS.is_dir():
        pytest.skip(f"NOT SHOWN: no recordings in {_CORPUS}")
    validator = _validator()
    with (_CORPUS / "routes.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            validator.validate(json.loads(line)["inventory"])


def test_what_the_reader_takes_follows_the_schema() -> None:
    text = '{"users": [{"loginName": "a@b.test", "extra": 1}], "devices": [{"hostname": "x"}]}'
    reader.read_inventory(text)
    _validator().validate(json.loads(text))


@pytest.mark.parametrize(
    "value", [[], {"users": {}}, {"users": [{}]}, {"devices": [{"hostname": 1}]}]
)
def test_what_cannot_be_an_inventory_is_refused(value: Any) -> None:
    assert not _validator().is_valid(value)
