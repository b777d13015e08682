from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from policy.hujson.tree import String
from tests.support.hujson_texts import UNHURRIED, string_literals

_CASES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).flatmap(
    lambda value: st.tuples(st.just(value), string_literals(value))
)


@given(_CASES)
@UNHURRIED
def test_string_decodes_to_what_was_spelt(case: tuple[str, str]) -> None:
    value, raw = case
    assert String(raw, 0, len(raw)).value == value


@given(_CASES, st.data())
@UNHURRIED
def test_span_covers_exactly_the_spelling_of_its_characters(
    case: tuple[str, str], data: st.DataObject
) -> None:
    value, raw = case
    first = data.draw(st.integers(0, len(value)))
    last = data.draw(st.integers(first, len(value)))
    start, end = String(raw, 7, 7 + len(raw)).span_of(first, last)
    assert String(f'"{raw[start - 7 : end - 7]}"', 0, 0).value == value[first:last]


@given(_CASES)
@UNHURRIED
def test_spans_of_all_characters_join_up(case: tuple[str, str]) -> None:
    value, raw = case
    string = String(raw, 0, len(raw))
    edges = [string.span_of(at, at + 1) for at in range(len(value))]
    assert [edge.end for edge in edges[:-1]] == [edge.start for edge in edges[1:]]
    assert string.span_of(0, len(value)) == (1, len(raw) - 1)
