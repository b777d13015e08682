from __future__ import annotations

import math

import pytest

from policy.hujson.parse import parse
from policy.hujson.tree import Array, Literal, Member, Number, Object, String
from policy.source import Source, Span


def _string(raw: str, start: int = 0) -> String:
    return String(raw, start, start + len(raw))


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ('""', ""),
        ('"a b"', "a b"),
        (r'"\"\\\/\b\f\n\r\t"', '"\\/\b\f\n\r\t'),
        (r'"\u0041\u00e9\u20AC"', "Aé€"),
        (r'"\ud83d\ude00!"', "😀!"),
        (r'"\ud83d"', "\ufffd"),
        (r'"\ude00\ud83d"', "\ufffd\ufffd"),
        (r'"\ud83dx"', "\ufffdx"),
        (r'"\\u0041"', r"\u0041"),
    ],
)
def test_string_is_decoded(raw: str, wanted: str) -> None:
    assert _string(raw).value == wanted


@pytest.mark.parametrize(
    ("raw", "first", "last", "covered"),
    [
        ('"abc"', 1, 2, "b"),
        ('"abc"', 0, 3, "abc"),
        ('"abc"', 3, 3, ""),
        (r'"a\nb"', 1, 2, r"\n"),
        (r'"a\nb"', 2, 3, "b"),
        (r'"\u0041\u0042c"', 1, 3, r"\u0042c"),
        (r'"\ud83d\ude00x"', 0, 1, r"\ud83d\ude00"),
        (r'"\ud83d\ude00x"', 1, 2, "x"),
        (r'"\ud83d\ud83d\ude00x"', 1, 2, r"\ud83d\ude00"),
        (r'"\\\"x"', 2, 3, "x"),
    ],
)
def test_span_of_decoded_characters(raw: str, first: int, last: int, covered: str) -> None:
    start, end = _string(raw, 100).span_of(first, last)
    assert raw[start - 100 : end - 100] == covered


@pytest.mark.parametrize(
    ("first", "last", "wanted"),
    [(-5, 99, Span(1, 4)), (2, 1, Span(3, 3)), (9, 9, Span(4, 4))],
)
@pytest.mark.parametrize("raw", ['"abc"', r'"a\tc"'])
def test_span_of_indices_outside_stays_inside(
    raw: str, first: int, last: int, wanted: Span
) -> None:
    longer = len(raw) - len('"abc"')
    moved = Span(*(at + longer if at > 2 else at for at in wanted))
    assert _string(raw).span_of(first, last) == moved


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ("0", 0),
        ("-12", -12),
        ("1.5", 1.5),
        ("1e2", 100.0),
        ("1E-1", 0.1),
        ("9" * 400, int("9" * 400)),
    ],
)
def test_number_is_an_int_if_spelt_as_one(raw: str, wanted: float) -> None:
    value = Number(raw, 0, len(raw)).value
    assert value == wanted
    assert type(value) is type(wanted)


@pytest.mark.parametrize("raw", ["1e400", "1" * 5000, "-1e999999999"])
def test_huge_number_is_infinite(raw: str) -> None:
    assert math.isinf(Number(raw, 0, len(raw)).value)


def test_member_spans_name_and_value() -> None:
    member = Member(_string('"a"', 5), Number("1", 10, 11))
    assert member.span == Span(5, 11)


def test_reprs_are_short_and_do_not_descend() -> None:
    inner = Array([], 4, 900)
    outer = Object([Member(_string('"a"', 1), inner)], 0, 901)
    assert repr(outer) == "<Object 0..901>"
    assert repr(outer.members[0]) == '<Member "a" <Array 4..900>>'
    assert repr(Literal(None, 0, 4)) == "<Literal 0..4>"


def test_deep_tree_can_be_dropped() -> None:
    root = parse(Source("p", "[" * 10_000 + "]" * 10_000)).root
    assert isinstance(root, Array)
    del root
