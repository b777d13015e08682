from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from policy.report.text import counted, one_line, visible


def test_plain_text_stays() -> None:
    assert visible("tag:web é \u65e5\u672c\nnext") == "tag:web é \u65e5\u672c\nnext"


def test_an_escape_sequence_is_shown_and_not_obeyed() -> None:
    assert visible("\x1b[2J") == "\u241b[2J"


def test_marks_that_turn_text_around_are_replaced() -> None:
    assert visible("a\u202eb\u2066c") == "a\ufffdb\ufffdc"


def test_bytes_that_were_not_utf8_are_replaced() -> None:
    assert visible("\udcff") == "\ufffd"


def test_blanks_that_are_no_blanks_show() -> None:
    assert visible("a\u00a0b\u200bc") == "a\ufffdb\ufffdc"


def test_delete_has_a_picture() -> None:
    assert visible("\x7f") == "\u2421"


def test_a_line_feed_is_made_visible_on_one_line() -> None:
    assert one_line("a\nb") == "a\u240ab"


@given(st.text())
def test_what_is_shown_can_be_encoded_and_has_no_control(text: str) -> None:
    shown = one_line(text)
    shown.encode()
    assert shown.isprintable()
    assert len(shown) == len(text)


def test_one_thing_is_singular() -> None:
    assert counted(1, "error") == "1 error"


def test_no_things_are_plural() -> None:
    assert counted(0, "error") == "0 errors"
