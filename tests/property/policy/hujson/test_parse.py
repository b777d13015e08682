from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from policy.hujson.format import FormatError, format_source
from policy.hujson.pack import pack
from policy.hujson.parse import MAX_PROBLEMS, ProblemKind, parse
from policy.hujson.pieces import pieces
from policy.hujson.plain import to_python
from policy.hujson.standard import minimize, standardize
from policy.source import Source
from tests.support.hujson_strict import first_problem
from tests.support.hujson_texts import (
    ANY_BYTES,
    ANY_TEXTS,
    MANY,
    TEXTS,
    UNHURRIED,
    VALUES,
    spellings,
)


@given(TEXTS)
@UNHURRIED
def test_well_formed_text_is_packed_as_it_was(text: str) -> None:
    parsed = parse(Source("p", text))
    assert parsed.problems == ()
    assert pack(parsed) == text


@given(VALUES.flatmap(lambda value: st.tuples(st.just(value), spellings(value))))
@UNHURRIED
def test_value_survives_any_spelling(case: tuple[object, str]) -> None:
    value, text = case
    root = parse(Source("p", text)).root
    assert root is not None
    assert to_python(root) == value


@given(ANY_BYTES)
@example(b"\xef\xbb\xbf{}")
@example(b"{\xff: 1}")
@example(b'{"a\xff": 1} // \xfe\n')
@MANY
def test_first_problem_is_that_of_a_strict_reader(data: bytes) -> None:
    source = Source.from_bytes("p", data)
    wanted = first_problem(data)
    found = [p for p in parse(source).problems if p.kind is not ProblemKind.DUPLICATE_NAME]
    if wanted is None:
        assert found == []
    else:
        place = source.position(found[0].span.start)
        assert (place.line, place.byte_column, found[0].message) == wanted


@given(ANY_TEXTS | ANY_BYTES.map(lambda data: Source.from_bytes("p", data).text))
@example("\ud800")
@example('{"a": "\ud800"} // \ud800\n')
@MANY
def test_any_text_gives_a_tree_or_problems(text: str) -> None:
    source = Source("p", text)
    parsed = parse(source)
    assert parsed.root is not None or parsed.problems
    assert len(parsed.problems) <= MAX_PROBLEMS
    for problem in parsed.problems:
        assert 0 <= problem.span.start <= problem.span.end <= len(text)
        problem.message.encode()
    if parsed.root is not None:
        to_python(parsed.root)
        pack(parsed)
        standardize(parsed.root)
        minimize(parsed.root)
    try:
        format_source(source)
    except FormatError:
        assert parsed.problems


@given(ANY_TEXTS)
@UNHURRIED
def test_problems_come_in_source_order(text: str) -> None:
    problems = parse(Source("p", text)).problems
    syntax = [p.span.start for p in problems if p.kind is not ProblemKind.DUPLICATE_NAME]
    duplicates = [p.span.start for p in problems if p.kind is ProblemKind.DUPLICATE_NAME]
    assert [p.span.start for p in problems] == syntax + duplicates
    for places in (syntax, duplicates):
        assert all(first <= second for first, second in pairwise(places))


@given(TEXTS)
@UNHURRIED
def test_spans_hold_what_the_tree_says(text: str) -> None:
    source = Source("p", text)
    root = parse(source).root
    assert root is not None
    assert text[root.start : root.end] == "".join(piece for _, piece in pieces(root)).removeprefix(
        root.before
    ).removesuffix(root.after)
