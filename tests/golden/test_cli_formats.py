"""Every format of one report, letter by letter.

To take over a change on purpose, run with `UPDATE_GOLDEN=1` and read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from policy.report.formats import FORMATS, render
from policy.report.style import Style
from tests.support.reports import plain_report

_FOLDER = Path(__file__).parent / "cli"
_UPDATES = bool(os.environ.get("UPDATE_GOLDEN")) and not os.environ.get("CI")


@pytest.mark.parametrize("output_format", FORMATS)
def test_format_is_what_it_was(output_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("policy.report.sarif.product_version", lambda: "1.2.3")
    _compare(f"report.{output_format}", render(plain_report(), output_format))


def test_colours_are_what_they_were() -> None:
    _compare("report.full-coloured", render(plain_report(), "full", Style(is_coloured=True)))


def _compare(name: str, rendered: str) -> None:
    golden = _FOLDER / name
    if _UPDATES:
        golden.write_text(rendered, encoding="utf-8")
    assert rendered == golden.read_text(encoding="utf-8")
