from __future__ import annotations

from policy.diagnostics.diagnostic import Severity
from policy.report.style import PLAIN, Style


def test_plain_style_adds_nothing() -> None:
    assert PLAIN.bold("x") == "x"
    assert PLAIN.severe(Severity.ERROR, "x") == "x"


def test_colours_end_where_they_should() -> None:
    assert Style(is_coloured=True).severe(Severity.ERROR, "x") == "\x1b[1;31mx\x1b[0m"


def test_nothing_is_not_coloured() -> None:
    assert Style(is_coloured=True).good("") == ""
