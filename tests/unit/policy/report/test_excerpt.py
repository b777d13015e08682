from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.report.excerpt import excerpt, gutter_width
from policy.report.style import PLAIN
from policy.source import Source, Span


def _excerpt(text: str, start: int, end: int) -> list[str]:
    return excerpt(Source("p", text), Span(start, end), PLAIN)


def _marked(text: str, start: int, end: int) -> str:
    """Return the shown characters above the carets."""
    _, shown, carets = _excerpt(text, start, end)
    return shown[carets.index("^") : carets.rindex("^") + 1]


def test_the_span_is_underlined() -> None:
    assert _excerpt("ab\nsome text\n", 8, 12) == ["  |", "2 | some text", "  |      ^^^^"]


def test_an_empty_span_gets_one_caret() -> None:
    assert _excerpt("abc", 3, 3)[-1] == "  |    ^"


def test_a_tab_is_as_wide_as_the_spaces_shown_for_it() -> None:
    assert _marked("\t\t{x}", 3, 4) == "x"


def test_a_wide_character_gets_two_carets() -> None:
    assert _excerpt("\u65e5\u672c:x", 0, 2)[-1] == "  | ^^^^"


def test_a_combining_mark_takes_no_column() -> None:
    assert _excerpt("e\u0301x", 2, 3)[-1] == "  |  ^"


def test_carriage_returns_at_line_ends_are_not_shown() -> None:
    assert _excerpt("ab\r\ncd\r\n", 4, 6)[1] == "2 | cd"


def test_escape_sequences_are_not_passed_on() -> None:
    assert "\x1b" not in "".join(_excerpt("\x1b[31mred", 0, 3))


@pytest.mark.parametrize("place", [0, 70, 500, 990])
def test_a_long_line_is_cut_around_the_span(place: int) -> None:
    text = "".join(chr(97 + i % 26) for i in range(1000))
    shown = _excerpt(text, place, place + 5)[1]
    assert len(shown) < 160
    assert _marked(text, place, place + 5) == text[place : place + 5]


def test_a_line_is_cut_on_both_sides() -> None:
    shown = _excerpt("x" * 1000, 500, 501)[1]
    assert shown.startswith("1 | \u2026")
    assert shown.endswith("\u2026")


def test_a_span_longer_than_the_window_is_underlined_as_far_as_shown() -> None:
    shown, carets = _excerpt("x" * 1000, 0, 1000)[1:]
    assert len(carets) <= len(shown)


def test_a_line_that_ends_at_the_window_is_whole() -> None:
    assert "\u2026" not in _excerpt("x" * 140, 0, 1)[1]


def test_a_short_span_of_lines_is_shown_whole_with_a_bar() -> None:
    assert _excerpt("{\n 1\n}\n", 0, 6) == ["  |", "1 | / {", "2 | |  1", "3 | \\ }"]


def test_a_long_span_of_lines_is_shown_from_both_ends() -> None:
    lines = _excerpt("".join(f"{n}\n" for n in range(1, 13)), 0, 26)
    assert lines == ["   |", " 1 | / 1", " 2 | | 2", " 3 | | 3", ".. :", "12 | \\ 12"]


def test_without_a_mark_nothing_is_underlined() -> None:
    assert len(excerpt(Source("p", "abc"), Span(0, 1), PLAIN, mark="")) == 2


def test_the_gutter_fits_the_last_line_number() -> None:
    assert gutter_width(Source("p", "\n" * 11), Span(0, 11)) == 2


@given(st.text(max_size=400), st.integers(0, 420), st.integers(0, 420))
def test_any_span_of_any_text_can_be_shown(text: str, start: int, length: int) -> None:
    lines = _excerpt(text, min(start, len(text)), min(start + length, len(text)))
    assert len(lines) <= 7
    assert all(len(line) < 600 and "\n" not in line for line in lines)
