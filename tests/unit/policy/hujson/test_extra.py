from __future__ import annotations

import pytest

from policy.hujson.extra import Extent, Place, breaks_line, extent, lay_out, normalize, width


@pytest.mark.parametrize(
    ("extra", "wanted"),
    [
        (" \r\n\t", " \n\t"),
        ("\n\r\n", "\n\n"),
        ("\r", " "),
        ("// a \t\n", "// a\n"),
        ("// a\r\n", "// a\n"),
        ("/* a */", "/* a */"),
        ("/*\n\n*/", "/*\n\n*/"),
        ("/* a \n   b\n   c */", "/* a\nb\nc */"),
        ("/*\n  * a\n  * b\n  */", "/*\n * a\n * b\n */"),
        ("/*\n * a\n\n * b */", "/*\n* a\n\n* b */"),
        ("/*\n  ab\n  ac\n*/", "/*\nab\nac\n*/"),
    ],
)
def test_normalized_extra_does_not_depend_on_where_it_stands(extra: str, wanted: str) -> None:
    assert normalize(extra) == wanted
    assert normalize(wanted) == wanted


@pytest.mark.parametrize(
    ("extra", "wanted"),
    [
        ("", Extent(0, 0, False)),
        ("  \t", Extent(0, 0, False)),
        (" \n ", Extent(0, 0, True)),
        ("/* a */", Extent(9, 9, False)),
        (" /* a */  /* b */ ", Extent(17, 17, False)),
        ("// ab\n", Extent(6, 0, True)),
        ("// ab\n/* a */", Extent(6, 9, True)),
        ("/* a */\n", Extent(8, 0, True)),
        ("/* a\nb */", Extent(5, 5, True)),
        ("/*é*/", Extent(8, 8, False)),
    ],
)
def test_extent_counts_comments_and_the_spaces_around_them(extra: str, wanted: Extent) -> None:
    assert extent(extra) == wanted


@pytest.mark.parametrize(("text", "wanted"), [("", 0), ("abc", 3), ("é€😀", 9), ("\udcff", 3)])
def test_width_is_in_bytes(text: str, wanted: int) -> None:
    assert width(text) == wanted


@pytest.mark.parametrize(
    ("extra", "wanted"),
    [("", False), ("\n", True), ("/* \n */", False), ("// a\n", True), ("/*\n*/\n", True)],
)
def test_line_breaks_inside_block_comments_break_no_line(extra: str, wanted: bool) -> None:
    assert breaks_line(extra) is wanted


@pytest.mark.parametrize(
    ("extra", "place", "wanted"),
    [
        ("", Place(), ""),
        ("  ", Place(separates=True), " "),
        ("\n", Place(), "\n\t\t"),
        ("\n\n\n", Place(), "\n\n\t\t"),
        ("", Place(starts_line=True), "\n\t\t"),
        ("\n\n", Place(starts_line=True, opens=True), "\n\t\t"),
        ("\n\n", Place(ends_line=True, closes=True), "\n\t"),
        ("/* a */", Place(), " /* a */ "),
        ("/* a */", Place(starts_line=True), "\n\t\t/* a */ "),
        ("/* a */", Place(ends_line=True, closes=True), " /* a */\n\t"),
        ("// a\n", Place(starts_line=True), " // a\n\t\t"),
        ("\n// a\n\n\n// b\n", Place(starts_line=True), "\n\t\t// a\n\n\t\t// b\n\t\t"),
        ("\n\n// a\n\n", Place(ends_line=True, opens=True, closes=True), "\n\t\t// a\n\t"),
        ("/* a\nb\n\nc */", Place(), " /* a\n\t\tb\n\n\t\tc */ "),
    ],
)
def test_extra_is_laid_out_for_its_place(extra: str, place: Place, wanted: str) -> None:
    assert lay_out(extra, 2, place) == wanted
