"""The reference in `docs/policy`: up to date, complete, and with links that lead somewhere."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from policy.hujson.format import format_source
from policy.load import load
from policy.schema import schema_of
from policy.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).resolve().parents[3] / "docs"
REFERENCE = DOCS / "policy" / "README.md"
TEXT = REFERENCE.read_text(encoding="utf-8")
PROSE = [*sorted(DOCS.glob("ci.md")), REFERENCE]
GENERATOR = runpy.run_path(str(REFERENCE.with_name("generate.py")))


def fields(schema: object) -> Iterator[str]:
    """Yield the names of all fields that a schema knows, those of data left out."""
    if isinstance(schema, dict):
        properties = schema.get("properties")
        if isinstance(properties, dict):
            yield from properties
        for inner in schema.values():
            yield from fields(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from fields(inner)


def test_generated_tables_are_up_to_date() -> None:
    assert GENERATOR["generated"](TEXT) == TEXT


def test_generator_notices_an_outdated_table() -> None:
    outdated = TEXT.replace("| 6 | `tcp` |", "| 6 | `tpc` |")
    assert outdated != TEXT
    assert GENERATOR["generated"](outdated) == TEXT


def test_generator_refuses_a_page_without_its_place() -> None:
    with pytest.raises(SystemExit, match="protocols"):
        GENERATOR["generated"](TEXT.replace("<!-- /protocols -->", ""))


@pytest.mark.parametrize("kind", ["policy", "suite"])
def test_every_field_is_described(kind: str) -> None:
    schema: dict[str, Any] = schema_of(kind)
    known = set(fields(schema)) - {"$schema"}
    described = set(re.findall(r"`([A-Za-z0-9]+)`", TEXT))
    assert known - described == set()


def test_every_snippet_is_a_clean_policy_in_the_standard_form() -> None:
    snippets = re.findall(r"^```hujson\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    assert snippets
    for snippet in snippets:
        source = Source("snippet.hujson", snippet)
        assert [found.message for found in load(source).diagnostics] == []
        assert format_source(source) == snippet


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    for link in links:
        if link.startswith("#"):
            assert link[1:] in headings
        elif "://" not in link:
            assert (page.parent / link).exists(), link
