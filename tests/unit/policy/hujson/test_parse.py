from __future__ import annotations

import pytest

from policy.hujson.lexer import MAX_DEPTH
from policy.hujson.parse import MAX_BYTES, MAX_PROBLEMS, ProblemKind, parse
from policy.hujson.tree import Array, Broken, Literal, Number, Object, String
from policy.source import Source


def _problems(text: str) -> list[tuple[int, int, str]]:
    source = Source("p", text)
    return [
        (place.line, place.byte_column, problem.message)
        for problem in parse(source).problems
        for place in [source.position(problem.span.start)]
    ]


_IN_OBJECT = "after object value (expecting ',' or '}')"
_IN_ARRAY = "after array value (expecting ',' or ']')"


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        # At the start of a value.
        ("@", 1, 1, "invalid character '@' at start of value"),
        ("\n  ]", 2, 3, "invalid character ']' at start of value"),
        ("}", 1, 1, "invalid character '}' at start of value"),
        (":", 1, 1, "invalid character ':' at start of value"),
        ("'a'", 1, 1, r"invalid character '\'' at start of value"),
        ("\ufeff{}", 1, 1, r"invalid character '\ufeff' at start of value"),
        ("\u00a0{}", 1, 1, r"invalid character '\u00a0' at start of value"),
        ("\v{}", 1, 1, r"invalid character '\v' at start of value"),
        ("/", 1, 1, "invalid character '/' at start of value"),
        ("\udcff", 1, 1, r"invalid character '\xff' at start of value"),
        ("[,]", 1, 2, "invalid character ',' at start of value"),
        ("[1,,]", 1, 4, "invalid character ',' at start of value"),
        ("[}", 1, 2, "invalid character '}' at start of value"),
        ('{"a":}', 1, 6, "invalid character '}' at start of value"),
        ('{"a":,}', 1, 6, "invalid character ',' at start of value"),
        ('{"a"::1}', 1, 6, "invalid character ':' at start of value"),
        # At the start of a name, which is read like any value.
        ("{,}", 1, 2, "invalid character ',' at start of value"),
        ("{]", 1, 2, "invalid character ']' at start of value"),
        ("{'a': 1}", 1, 2, r"invalid character '\'' at start of value"),
        ('{"a": 1,, }', 1, 9, "invalid character ',' at start of value"),
        ("{a: 1}", 1, 2, "invalid literal: a"),
        ("{1: 2}", 1, 2, "invalid character '1' at start of object name"),
        ("{true: 2}", 1, 2, "invalid character 't' at start of object name"),
        ("{ null }", 1, 3, "invalid character 'n' at start of object name"),
        ("{[1]: 2}", 1, 2, "invalid character '[' at start of object name"),
        ('{{"a": 1}: 2}', 1, 2, "invalid character '{' at start of object name"),
        ("{{x: 1}: 2}", 1, 3, "invalid literal: x"),
        ("{1: x}", 1, 2, "invalid character '1' at start of object name"),
        # After a name.
        ('{"a" 1}', 1, 6, "invalid character '1' after object name"),
        ('{"a"}', 1, 5, "invalid character '}' after object name"),
        ('{"a", "b"}', 1, 5, "invalid character ',' after object name"),
        ('{"é" = 1}', 1, 7, "invalid character '=' after object name"),
        # After a value.
        ('{"a": 1 "b": 2}', 1, 9, f"invalid character '\"' {_IN_OBJECT}"),
        ('{"a": 1]', 1, 8, f"invalid character ']' {_IN_OBJECT}"),
        ('{"a": "b": 1}', 1, 10, f"invalid character ':' {_IN_OBJECT}"),
        ('{"a": true x}', 1, 12, f"invalid character 'x' {_IN_OBJECT}"),
        ("[1 2]", 1, 4, f"invalid character '2' {_IN_ARRAY}"),
        ('["a": 1]', 1, 5, f"invalid character ':' {_IN_ARRAY}"),
        ("[[]\n{}]", 2, 1, f"invalid character '{{' {_IN_ARRAY}"),
        ("[1}", 1, 3, f"invalid character '}}' {_IN_ARRAY}"),
        ("[1 # c\n]", 1, 4, f"invalid character '#' {_IN_ARRAY}"),
        ('["a" "', 1, 6, f"invalid character '\"' {_IN_ARRAY}"),
        # After everything.
        ("{} {}", 1, 4, "invalid character '{' after top-level value"),
        ("1\n,", 2, 1, "invalid character ',' after top-level value"),
        ("[]]", 1, 3, "invalid character ']' after top-level value"),
        ("{}\x00", 1, 3, r"invalid character '\x00' after top-level value"),
        ("null true", 1, 6, "invalid character 't' after top-level value"),
        # Literals.
        ("\n\n\n    this", 4, 5, "invalid literal: this"),
        ("[True]", 1, 2, "invalid literal: True"),
        ("nulll", 1, 1, "invalid literal: nulll"),
        ("[NaN]", 1, 2, "invalid literal: NaN"),
        ("-Infinity", 1, 1, "invalid literal: -Infinity"),
        ("01", 1, 1, "invalid literal: 01"),
        ("+1", 1, 1, "invalid literal: +1"),
        (".5", 1, 1, "invalid literal: .5"),
        ("5.", 1, 1, "invalid literal: 5."),
        ("0x1F", 1, 1, "invalid literal: 0x1F"),
        ("10.0.0.1", 1, 1, "invalid literal: 10.0.0.1"),
        ("[1-2]", 1, 2, "invalid literal: 1-2"),
        ("a_b", 1, 1, "invalid literal: a"),
        (r'["\x"]', 1, 2, r'invalid literal: "\x"'),
        ('["\t"]', 1, 2, 'invalid literal: "\t"'),
        ('{"a": "b,\n"c": 1}', 1, 7, 'invalid literal: "b,\n"'),
        ('["\udcff"]', 1, 2, 'invalid literal: "\ufffd"'),
        ('{"é": tru}', 1, 8, "invalid literal: tru"),
        # The end of the text.
        ("", 1, 1, "parsing value: unexpected EOF"),
        (" \n// c\n", 3, 1, "parsing value: unexpected EOF"),
        ("{", 1, 2, "parsing value: unexpected EOF"),
        ("[\n", 2, 1, "parsing value: unexpected EOF"),
        ("[1,", 1, 4, "parsing value: unexpected EOF"),
        ('{"a": 1,', 1, 9, "parsing value: unexpected EOF"),
        ('{"a":', 1, 6, "parsing value: unexpected EOF"),
        ('"a', 1, 3, "parsing string: unexpected EOF"),
        ('["é\n', 2, 1, "parsing string: unexpected EOF"),
        ('"\\"', 1, 4, "parsing string: unexpected EOF"),
        ('{"a": "b}\n}\n', 3, 1, "parsing string: unexpected EOF"),
        ("{} // c", 1, 8, "parsing comment: unexpected EOF"),
        ("/* c *", 1, 7, "parsing comment: unexpected EOF"),
        ("[1 /*]", 1, 7, "parsing comment: unexpected EOF"),
        ('{"a"', 1, 5, "parsing object after name: unexpected EOF"),
        ('{"a" // c\n', 2, 1, "parsing object after name: unexpected EOF"),
        ('{"a": 1', 1, 8, "parsing object after value: unexpected EOF"),
        ("[1", 1, 3, "parsing array after value: unexpected EOF"),
        ("[[1]", 1, 5, "parsing array after value: unexpected EOF"),
        # Comments.
        ("// \udcff\n{}", 1, 4, "invalid UTF-8 in comment"),
        ("{} /*é\udc80*/", 1, 8, "invalid UTF-8 in comment"),
    ],
)
def test_first_problem_is_the_service_s(text: str, line: int, column: int, message: str) -> None:
    assert _problems(text)[0] == (line, column, message)


def test_tree_holds_values_and_the_extras_around_them() -> None:
    parsed = parse(Source("p", '/*a*/{/*b*/"n"/*c*/:/*d*/[1/*e*/,/*f*/null/*g*/,/*h*/]/*i*/}/*j*/'))
    root = parsed.root
    assert parsed.problems == ()
    assert isinstance(root, Object)
    assert (root.before, root.tail, root.trailing_comma, root.after) == (
        "/*a*/",
        "",
        False,
        "/*j*/",
    )
    (member,) = root.members
    assert (member.name.before, member.name.value, member.name.after) == ("/*b*/", "n", "/*c*/")
    array = member.value
    assert isinstance(array, Array)
    assert (array.before, array.tail, array.trailing_comma) == ("/*d*/", "/*h*/", True)
    assert array.after == "/*i*/"
    first, second = array.elements
    assert isinstance(first, Number)
    assert isinstance(second, Literal)
    assert (first.before, first.value, first.after) == ("", 1, "/*e*/")
    assert (second.before, second.value, second.after) == ("/*f*/", None, "/*g*/")


def test_extra_of_an_empty_composite_is_its_tail() -> None:
    root = parse(Source("p", "[ /* none */ ]")).root
    assert isinstance(root, Array)
    assert (root.elements, root.tail, root.trailing_comma) == ([], " /* none */ ", False)


def test_spans_are_in_characters() -> None:
    root = parse(Source("p", '/*é*/ {"é": 1}')).root
    assert isinstance(root, Object)
    assert root.span == (6, 14)
    assert root.members[0].name.span == (7, 10)
    assert root.members[0].span == (7, 13)


def test_duplicate_names_are_refused_with_both_places() -> None:
    source = Source("p", '{"a": 1, "b": 2, "\\u0061": 3, "c": {"b": 4}}')
    (problem,) = parse(source).problems
    assert problem.kind is ProblemKind.DUPLICATE_NAME
    assert problem.message == r'duplicate object name: "\u0061"'
    assert problem.span == (17, 25)
    ((_, first),) = problem.related
    assert first == (1, 4)


def test_duplicate_names_are_all_reported_in_source_order() -> None:
    text = '{"x": {"a": 1, "a": 2}, "x": {"b": 1, "b": 2, "b": 3}}'
    problems = parse(Source("p", text)).problems
    assert [text[slice(*problem.span)] for problem in problems] == ['"a"', '"x"', '"b"', '"b"']
    assert [problem.span.start for problem in problems] == sorted(p.span.start for p in problems)


def test_names_that_differ_in_case_are_not_duplicates() -> None:
    assert parse(Source("p", '{"a": 1, "A": 2}')).problems == ()


def test_duplicate_names_stay_in_the_tree() -> None:
    root = parse(Source("p", '{"a": 1, "a": 2}')).root
    assert isinstance(root, Object)
    assert [member.name.value for member in root.members] == ["a", "a"]


def test_syntax_comes_before_duplicates_as_for_the_service() -> None:
    problems = parse(Source("p", '{"a": 1, "a": 2, "b": tru}')).problems
    assert [problem.kind for problem in problems] == [
        ProblemKind.SYNTAX,
        ProblemKind.DUPLICATE_NAME,
    ]


def test_kinds_tell_problems_apart() -> None:
    text = '// \udcff\n{"a": tru, "b": 1, "b": 2}'
    assert [problem.kind for problem in parse(Source("p", text)).problems] == [
        ProblemKind.ENCODING,
        ProblemKind.SYNTAX,
        ProblemKind.DUPLICATE_NAME,
    ]


@pytest.mark.parametrize(
    ("text", "related"),
    [
        ('{"a": [1', (6, 7)),
        ('{"a": 1', (0, 1)),
        ("[[1] /*", (5, 7)),
        ('["a', (1, 2)),
        ('{"a": [1}', (6, 7)),
    ],
)
def test_problem_points_at_what_is_left_open(text: str, related: tuple[int, int]) -> None:
    assert parse(Source("p", text)).problems[0].related[0][1] == related


@pytest.mark.parametrize("text", ["", "@", "tru", '"', "// c", "]", "\ufeff"])
def test_there_is_no_root_where_there_is_no_value(text: str) -> None:
    assert parse(Source("p", text)).root is None


def test_nesting_up_to_the_limit_is_read() -> None:
    assert parse(Source("p", "[" * MAX_DEPTH + "]" * MAX_DEPTH)).problems == ()
    objects = '{"a":' * (MAX_DEPTH - 1) + "{}" + "}" * (MAX_DEPTH - 1)
    assert parse(Source("p", objects)).problems == ()


def test_nesting_beyond_the_limit_is_one_problem() -> None:
    parsed = parse(Source("p", "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)))
    (problem,) = parsed.problems
    assert problem.kind is ProblemKind.TOO_DEEP
    assert problem.message == "nested more than 10000 levels deep"
    assert problem.span.start == MAX_DEPTH


def test_depth_counts_open_brackets_not_all() -> None:
    assert parse(Source("p", "[" + "[]," * (MAX_DEPTH + 1) + "]")).problems == ()


@pytest.mark.parametrize("text", ["[" * (MAX_BYTES + 1), "é" * (MAX_BYTES // 2 + 1)])
def test_text_beyond_the_limit_is_not_read(text: str) -> None:
    parsed = parse(Source("p", text))
    assert parsed.root is None
    (problem,) = parsed.problems
    assert problem.kind is ProblemKind.TOO_LARGE
    assert problem.message == "text is larger than 16 MiB"


@pytest.mark.parametrize(
    "text",
    [
        "[" + "1 " * 5000,
        "{" + "'" * 5000,
        "[}" * 5000,
        "{]" * 5000,
        "]" * 300_000,
        "[" + "," * 300_000,
        "[" + "}" * 300_000,
        "\x00" * 300_000,
        '"' + '\n\\"' * 100_000,
        "[" + "@\n" * 5000 + "]",
        "{" + "1:2," * 5000 + "}",
    ],
)
def test_garbage_gives_few_problems(text: str) -> None:
    assert 1 <= len(parse(Source("p", text)).problems) <= MAX_PROBLEMS


def test_string_of_escapes_is_read_in_one_pass() -> None:
    # Long enough that a pattern which keeps a way back for each escape would show.
    text = '["' + "\\\\" * 500_000 + '"]'
    root = parse(Source("p", text)).root
    assert isinstance(root, Array)
    (element,) = root.elements
    assert isinstance(element, String)
    assert element.value == "\\" * 500_000


def test_broken_value_keeps_its_place() -> None:
    root = parse(Source("p", '{"a": tru, "b": 1}')).root
    assert isinstance(root, Object)
    broken = root.members[0].value
    assert isinstance(broken, Broken)
    assert (broken.raw, broken.span) == ("tru", (6, 9))
