from __future__ import annotations

import pytest

from policy.report.formats import FORMATS, render
from policy.report.model import Report
from tests.support.reports import hostile_report


@pytest.mark.parametrize("output_format", FORMATS)
def test_every_format_takes_hostile_text(output_format: str) -> None:
    rendered = render(hostile_report(), output_format)
    assert rendered.endswith("\n")
    rendered.encode()
    assert "\x1b" not in rendered
    assert "\x00" not in rendered


@pytest.mark.parametrize("output_format", FORMATS)
def test_every_format_takes_no_files(output_format: str) -> None:
    render(Report("check", ()), output_format)


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="no such format"):
        render(Report("check", ()), "yaml")
