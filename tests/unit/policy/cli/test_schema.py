from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from policy.schema import KINDS, schema_of
from tests.support.console import run_policy

if TYPE_CHECKING:
    from pathlib import Path


def test_the_schema_of_policies_is_printed() -> None:
    assert run_policy("schema").json() == schema_of("policy")


@pytest.mark.parametrize("kind", KINDS[1:])
def test_other_schemas_can_be_asked_for(kind: str) -> None:
    assert run_policy("schema", f"--{kind}").json() == schema_of(kind)


def test_one_schema_at_a_time() -> None:
    assert run_policy("schema", "--suite", "--inventory").code == 2


def test_a_schema_goes_to_a_file_where_that_is_asked_for(folder: Path) -> None:
    assert run_policy("schema", "-o", folder / "s.json")[:2] == (0, "")
    assert (folder / "s.json").read_text().startswith("{")
