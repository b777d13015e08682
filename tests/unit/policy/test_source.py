from __future__ import annotations

import pytest

from policy.source import Position, Source


@pytest.mark.parametrize(
    ("text", "offset", "wanted"),
    [
        ("", 0, Position(1, 1, 1, 0)),
        ("abc", 3, Position(1, 4, 4, 3)),
        ("a\nb", 1, Position(1, 2, 2, 1)),
        ("a\nb", 2, Position(2, 1, 1, 2)),
        ("a\n", 2, Position(2, 1, 1, 2)),
        ("é\né😀x", 4, Position(2, 3, 7, 9)),
        ("a\r\nb", 3, Position(2, 1, 1, 3)),
        ("a\rb", 2, Position(1, 3, 3, 2)),
    ],
)
def test_position_counts_lines_characters_and_bytes(
    text: str, offset: int, wanted: Position
) -> None:
    assert Source("p", text).position(offset) == wanted


@pytest.mark.parametrize(("offset", "inside"), [(-1, 0), (7, 3), (10**9, 3)])
def test_position_outside_of_the_text_is_taken_as_its_nearest_end(offset: int, inside: int) -> None:
    source = Source("p", "a\nb")
    assert source.position(offset) == source.position(inside)


def test_line_ending_is_no_part_of_a_line() -> None:
    source = Source("p", "one\r\ntwo\n\nfour")
    assert [source.line_text(line) for line in range(6)] == ["", "one", "two", "", "four", ""]


def test_bytes_that_are_not_utf8_count_as_one_each() -> None:
    source = Source.from_bytes("p", b"\xff\xfe\nab")
    assert source.position(2) == Position(1, 3, 3, 2)
    assert source.to_bytes() == b"\xff\xfe\nab"


def test_surrogates_that_stand_for_no_byte_are_counted_too() -> None:
    assert Source("p", "\ud800a").position(2).byte_offset == 4


@pytest.mark.parametrize(
    ("text", "limit", "wanted"),
    [("abc", 3, False), ("abc", 2, True), ("éé", 4, False), ("éé", 3, True), ("", 0, False)],
)
def test_size_is_in_bytes(text: str, limit: int, wanted: bool) -> None:
    assert Source("p", text).size_exceeds(limit) is wanted


def test_repr_does_not_hold_the_text() -> None:
    assert repr(Source("policy.hujson", "secret")) == "Source('policy.hujson', 6 characters)"
