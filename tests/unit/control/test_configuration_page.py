"""The page about the configuration: up to date, and with a meaning for every key."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

DIRECTORY = Path(__file__).resolve().parents[3] / "docs" / "configuration"
GENERATOR = runpy.run_path(str(DIRECTORY / "generate.py"))
TEXT = (DIRECTORY / "README.md").read_text(encoding="utf-8")


def test_page_is_up_to_date() -> None:
    assert GENERATOR["page"]() == TEXT


def test_every_key_has_a_meaning() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|[^|]*\|(.*)\|$", TEXT, re.MULTILINE)
    assert len(rows) > 50
    assert [key for key, meaning in rows if not meaning.strip()] == []
