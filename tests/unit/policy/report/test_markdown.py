from __future__ import annotations

import re

from markdown_it import MarkdownIt

from policy.report.markdown import render_markdown
from tests.support.reports import hostile_report, plain_report


def test_findings_are_a_table() -> None:
    html = MarkdownIt("gfm-like", {"linkify": False}).render(render_markdown(plain_report()))
    assert html.count("<table>") == 2
    assert html.count("<tr>") == 1 + 4 + 1 + 2


def test_hostile_text_is_neither_markup_nor_cells() -> None:
    rendered = render_markdown(hostile_report())
    html = MarkdownIt("gfm-like", {"linkify": False}).render(rendered)
    assert "<d>" not in html
    rows = re.findall(r"<tr>.*?</tr>", html, re.DOTALL)
    assert {len(re.findall("<t[dh]>", row)) for row in rows} == {3}


def test_trust_is_told() -> None:
    assert "on trust without an inventory: 2 users, 1 domain" in render_markdown(plain_report())


def test_a_valid_file_has_no_table() -> None:
    report = plain_report()
    assert "|" not in render_markdown(report._replace(files=report.files[1:]))
