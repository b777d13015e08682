from __future__ import annotations

import json

import pytest

from policy.schema import KINDS, schema_of


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_schema_in_the_dialect_of_editors(kind: str) -> None:
    schema = schema_of(kind)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    json.dumps(schema)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="no such schema"):
        schema_of("rule")
