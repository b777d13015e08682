from __future__ import annotations

import pytest

from policy.hujson import format as format_module
from policy.hujson.format import FormatError, UnsoundFormatError, format_source
from policy.hujson.pack import pack
from policy.hujson.parse import parse
from policy.hujson.tree import Node, Number, Object
from policy.source import Source


def _format(text: str) -> str:
    return format_source(Source("p", text))


def _check(text: str, wanted: str) -> None:
    assert _format(text) == wanted
    assert _format(wanted) == wanted


# Inputs and results are written as lists of lines; `_lines` puts them together.
def _lines(*lines: str) -> str:
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("null", "null\n"),
        (" \n\n 1 \n\n\n", "1\n"),
        ('"a"\n', '"a"\n'),
        ("// a\n1", "// a\n1\n"),
        ("\n\n// a\n\n\n\n1// b\n", "// a\n\n1 // b\n"),
        ("/* a */1/* b */", "/* a */ 1 /* b */\n"),
        ("1\n\n\n// a\n\n\n", "1\n\n// a\n"),
        ("1 // a  \t\n", "1 // a\n"),
        ("\t// a\n\t/* b */\n\t1", "// a\n/* b */\n1\n"),
        ("//a\r\n1\r\n", "//a\n1\n"),
        ("//a\n\r//b\n1", "//a\n//b\n1\n"),
        ("//a\rb\n1", "//a b\n1\n"),
    ],
)
def test_document_starts_at_once_and_ends_with_one_line_feed(text: str, wanted: str) -> None:
    _check(text, wanted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[]", "[]\n"),
        ("[ \n\n ]", "[]\n"),
        ("{\t}", "{}\n"),
        ("[/* a */]", "[ /* a */ ]\n"),
        ("[// a\n]", "[ // a\n]\n"),
        ("{\n\n\n// a\n\n\n}", "{\n\t// a\n}\n"),
        ("{\n}", "{}\n"),
    ],
)
def test_empty_composite_keeps_only_comments(text: str, wanted: str) -> None:
    _check(text, wanted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[1,2]", "[1, 2]\n"),
        ('{"a":1,"bbb":[1,2,],}', '{"a": 1, "bbb": [1, 2]}\n'),
        ('{ "a" : 1 , "b" : { } }', '{"a": 1, "b": {}}\n'),
        ('{"a"\n:1\n,"b":2}', '{"a": 1, "b": 2}\n'),
        ("[1\n,2]", "[1, 2]\n"),
        ("[1\n,]", "[1]\n"),
        ("[1,/* a */2]", "[1, /* a */ 2]\n"),
        ("[/*a*/1/*b*/,/*c*/2/*d*/]", "[ /*a*/ 1 /*b*/ , /*c*/ 2 /*d*/ ]\n"),
        ('{/*a*/"k"/*b*/:/*c*/1/*d*/}', '{ /*a*/ "k" /*b*/ : /*c*/ 1 /*d*/ }\n'),
        ("[1/*a*/,]", "[1 /*a*/ ]\n"),
        ("[1,/*a*/]", "[1 /*a*/ ]\n"),
        ("[1/*a*/,/*b*/]", "[1 /*a*/ , /*b*/ ]\n"),
    ],
)
def test_composite_without_line_breaks_stays_on_one_line(text: str, wanted: str) -> None:
    _check(text, wanted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[\n1, 2]", _lines("[", "\t1,", "\t2", "]")),
        ("[1,\n2]", _lines("[", "\t1,", "\t2", "]")),
        ("[1, 2\n]", _lines("[", "\t1,", "\t2", "]")),
        ("[1, 2,\n]", _lines("[", "\t1,", "\t2,", "]")),
        ('{\n"a": 1}', _lines("{", '\t"a": 1', "}")),
        ('{"a": 1, // b\n}', _lines("{", '\t"a": 1, // b', "}")),
        ("[1 // a\n, 2]", "[1 // a\n\t\t, 2]\n"),
        ("[1 // a\n,]", _lines("[", "\t1 // a", "\t\t,", "]")),
        ("[1 // a\n]", _lines("[", "\t1, // a", "]")),
        ("[1, /* a */\n2]", _lines("[", "\t1, /* a */", "\t2,", "]")),
        ("[/* a */ 1,\n2]", _lines("[", "\t/* a */ 1,", "\t2,", "]")),
        ("[// a\n1]", _lines("[ // a", "\t1,", "]")),
        ("[1,\n2 /* a */]", _lines("[", "\t1,", "\t2, /* a */", "]")),
        ("[1, /*\n*/ 2]", _lines("[", "\t1,", "\t/*", "\t*/ 2,", "]")),
        ("[1, 2 /*\n*/]", _lines("[", "\t1,", "\t2, /*", "\t*/", "]")),
    ],
)
def test_line_break_before_member_or_closing_bracket_expands(text: str, wanted: str) -> None:
    _check(text, wanted)


@pytest.mark.parametrize(
    ("opening", "longest"),
    # Brackets count 1 each; name, value and element 2 more than themselves.
    [('["', 80 - 2 - 2 - 2), ('{"a":"', 80 - 2 - 5 - 2 - 2)],
)
def test_composite_of_more_than_80_bytes_is_expanded(opening: str, longest: int) -> None:
    closing = '"]' if opening[0] == "[" else '"}'
    assert _format(opening + "x" * longest + closing).count("\n") == 1
    assert _format(opening + "x" * (longest + 1) + closing).count("\n") == 3


def test_length_is_counted_in_bytes() -> None:
    assert _format('["' + "é" * 37 + '"]').count("\n") == 1
    assert _format('["' + "é" * 38 + '"]').count("\n") == 3


def test_length_ignores_what_precedes_on_the_line() -> None:
    array = '["' + "x" * 70 + '"]'
    assert _format('{\n"a long enough name": ' + array + "}") == _lines(
        "{", f'\t"a long enough name": {array}', "}"
    )


def test_comments_count_towards_the_length() -> None:
    plain = '["' + "x" * 60 + '", 1]'
    assert _format(plain) == plain + "\n"
    assert _format(plain.replace(" ", "/* a comment */")).count("\n") == 4


def test_what_is_inside_is_decided_first() -> None:
    inner = ", ".join(["100000000"] * 8)
    _check(
        f'{{"a": [{inner}], "b": 1}}',
        _lines('{"a": [', *["\t100000000,"] * 7, "\t100000000", '], "b": 1}'),
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[[\n1]]", _lines("[[", "\t1", "]]")),
        ('[{\n"a": 1}, {\n"b": 2}]', _lines("[{", '\t"a": 1', "}, {", '\t"b": 2', "}]")),
        (
            '{"a": [{\n"b": [\n1]}]}',
            _lines('{"a": [{', '\t"b": [', "\t\t1", "\t]", "}]}"),
        ),
        (
            '{"acls":[\n{"action":"accept","src":["*"]}]}',
            _lines('{"acls": [', '\t{"action": "accept", "src": ["*"]}', "]}"),
        ),
        (
            '{\n"a": [{\n"b": 1}]}',
            _lines("{", '\t"a": [{', '\t\t"b": 1', "\t}]", "}"),
        ),
    ],
)
def test_expanded_inside_inline_hugs_its_brackets(text: str, wanted: str) -> None:
    _check(text, wanted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[\n1\n]", _lines("[", "\t1", "]")),
        ("[\n1 /**/\n]", _lines("[", "\t1, /**/", "]")),
        ("// a\n[\n1\n]", _lines("// a", "[", "\t1,", "]")),
        ("[\n[1,],\n2\n]", _lines("[", "\t[1],", "\t2,", "]")),
        ("[\n1\n] // a\n", _lines("[", "\t1,", "] // a")),
        ("[1,]", "[1]\n"),
    ],
)
def test_expanded_ends_with_a_comma_unless_the_text_is_plain_json(text: str, wanted: str) -> None:
    _check(text, wanted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[\n\n\n1,\n\n\n\n2\n\n\n]", _lines("[", "\t1,", "", "\t2", "]")),
        ("[\n\n// a\n\n1\n]", _lines("[", "\t// a", "", "\t1,", "]")),
        ("[ // a\n\n1\n]", _lines("[ // a", "", "\t1,", "]")),
        ("[\n1,\n\n// a\n\n]", _lines("[", "\t1,", "", "\t// a", "]")),
        (
            "[\n1,\n\n\n// a\n\n\n\n// b\n2]",
            _lines("[", "\t1,", "", "\t// a", "", "\t// b", "\t2,", "]"),
        ),
    ],
)
def test_blank_lines_collapse_and_leave_brackets_alone(text: str, wanted: str) -> None:
    _check(text, wanted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{\n"a":\n1}', _lines("{", '\t"a":', "\t\t1", "}")),
        ('{"a":\n\n\n1}', '{"a":\n\n\t\t1}\n'),
        ('{\n"a": // b\n1}', _lines("{", '\t"a": // b', "\t\t1,", "}")),
        ('{\n"a": // b\n// c\n1}', _lines("{", '\t"a": // b', "\t\t// c", "\t\t1,", "}")),
        ('{\n"a" // b\n: 1}', _lines("{", '\t"a" // b', "\t\t: 1,", "}")),
        ('{\n"a": 1 // b\n, "c": 2}', _lines("{", '\t"a": 1 // b', "\t\t,", '\t"c": 2,', "}")),
        ('{\n"a"\n/* b */\n: 1}', _lines("{", '\t"a"', "\t\t/* b */", "\t\t: 1,", "}")),
    ],
)
def test_what_breaks_a_member_is_indented_two_levels(text: str, wanted: str) -> None:
    _check(text, wanted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        # Stars line up.
        (
            "{\n  /*\n   * a\n   * b\n   */\n}",
            _lines("{", "\t/*", "\t * a", "\t * b", "\t */", "}"),
        ),
        ("/*\n* a\n* b\n*/ 1", "/*\n * a\n * b\n */ 1\n"),
        # No stars where a line is empty.
        ("/*\n * a\n\n * b\n */ 1", "/*\n* a\n\n* b\n*/ 1\n"),
        # What the lines share goes, what sets them apart stays.
        (
            "[\n/* a\n      b\n        c\n    */\n]",
            _lines("[", "\t/* a", "\tb", "\t  c", "\t*/", "]"),
        ),
        ("[\n/* a\n\t\tb\n\t\t\n\t\tc */\n]", _lines("[", "\t/* a", "\tb", "", "\tc */", "]")),
        ("[\n/* a\nb */\n]", _lines("[", "\t/* a", "\tb */", "]")),
        ("[\n/*\n      */\n]", _lines("[", "\t/*", "\t*/", "]")),
        # Tabs and spaces share nothing.
        ("[\n/*\n\ta\n b\n*/\n]", _lines("[", "\t/*", "\t\ta", "\t b", "\t*/", "]")),
        ("[\r\n/* a\r\n   b */\r\n]", _lines("[", "\t/* a", "\tb */", "]")),
    ],
)
def test_block_comment_moves_as_a_whole(text: str, wanted: str) -> None:
    _check(text, wanted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[\n// a\n1]", _lines("[", "\t// a", "\t1,", "]")),
        ("[\n//  a  \n1]", _lines("[", "\t//  a", "\t1,", "]")),
        ("[1, // a\n// b\n2]", _lines("[", "\t1, // a", "\t// b", "\t2,", "]")),
        ("[1,/* a *//* b */\n2]", _lines("[", "\t1, /* a */ /* b */", "\t2,", "]")),
        ("[\n/* a */ /* b */ 1]", _lines("[", "\t/* a */ /* b */ 1,", "]")),
        ("[1, // a\n]", _lines("[", "\t1, // a", "]")),
        ("[1, // a\n// b\n]", _lines("[", "\t1, // a", "\t// b", "]")),
    ],
)
def test_comment_stays_with_its_line(text: str, wanted: str) -> None:
    _check(text, wanted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{\n"a": 1,\n"bbb": 2}', _lines("{", '\t"a":   1,', '\t"bbb": 2', "}")),
        (
            '{\n"a": 1, // x\n"bbb": [2],\n"cc": {"d": 3}}',
            _lines("{", '\t"a":   1, // x', '\t"bbb": [2],', '\t"cc":  {"d": 3},', "}"),
        ),
        # A blank line, a line of comment and a member of several lines end a block.
        (
            '{\n"a": 1,\n\n"bbb": 2}',
            _lines("{", '\t"a": 1,', "", '\t"bbb": 2', "}"),
        ),
        (
            '{\n"a": 1,\n// x\n"bbb": 2}',
            _lines("{", '\t"a": 1,', "\t// x", '\t"bbb": 2,', "}"),
        ),
        (
            '{\n"a": 1,\n"bb": [\n2],\n"ccc": 3,\n"d": 4}',
            _lines(
                "{", '\t"a": 1,', '\t"bb": [', "\t\t2", "\t],", '\t"ccc": 3,', '\t"d":   4', "}"
            ),
        ),
        (
            '{\n"a": 1,\n"bbb":\n2,\n"c": 3}',
            _lines("{", '\t"a": 1,', '\t"bbb":', "\t\t2,", '\t"c": 3', "}"),
        ),
        # So does a name that does not start its line.
        (
            '{\n"a": 1,\n/* x */ "bbb": 2,\n"c": 3}',
            _lines("{", '\t"a": 1,', '\t/* x */ "bbb": 2,', '\t"c": 3,', "}"),
        ),
        # Comments before the value count, and so do bytes.
        (
            '{\n"a": /* x */ 1,\n"bbb": 2}',
            _lines("{", '\t"a": /* x */ 1,', '\t"bbb":       2,', "}"),
        ),
        (
            '{\n"é": 1,\n"bbb": 2}',
            _lines("{", '\t"é":  1,', '\t"bbb": 2', "}"),
        ),
        # Objects on one line are left alone, and old alignment goes.
        ('{"a":    1, "bbb": 2}', '{"a": 1, "bbb": 2}\n'),
        ('{\n"a":        1,\n"bb":       2}', _lines("{", '\t"a":  1,', '\t"bb": 2', "}")),
    ],
)
def test_values_of_consecutive_lines_are_aligned(text: str, wanted: str) -> None:
    _check(text, wanted)


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        (r'"\u0041\/\u00e9"', '"A/é"'),
        (r'"\u0022\u005c"', r'"\"\\"'),
        (r'"\u0008\u0009\u000A\u000c\u000d"', r'"\b\t\n\f\r"'),
        (r'"\u0000\u001F\u007f"', '"\\u0000\\u001f\x7f"'),
        (r'"\u2028\ufeff"', '"\u2028\ufeff"'),
        (r'"\ud83d\ude00"', '"😀"'),
        (r'"\ud83d"', '"\ufffd"'),
        ('"plain é"', '"plain é"'),
    ],
)
def test_escapes_are_as_few_as_can_be(raw: str, wanted: str) -> None:
    _check(raw, wanted + "\n")
    _check(f"{{{raw}:1}}", f"{{{wanted}: 1}}\n")


@pytest.mark.parametrize("number", ["1.0", "1e5", "1E+05", "-0", "100000000000000000000000"])
def test_numbers_keep_their_spelling(number: str) -> None:
    _check(number, number + "\n")


def test_members_keep_their_order_and_may_repeat() -> None:
    _check('{"b":1,"a":2,"b":3}', '{"b": 1, "a": 2, "b": 3}\n')


def test_policy_as_people_write_it() -> None:
    text = """\
// policy
{
  "groups": {
    "group:eng": ["a@x.test"], // c
    "group:operations": [
      "b@x.test",
      "c@x.test" ],

    /* legacy
       team */
    "group:x": [],
  },
  "acls": [ { "action":"accept",
  "src":["group:eng"],
  "dst":["tag:web:80"] } ],
}"""
    _check(
        text,
        _lines(
            "// policy",
            "{",
            '\t"groups": {',
            '\t\t"group:eng": ["a@x.test"], // c',
            '\t\t"group:operations": [',
            '\t\t\t"b@x.test",',
            '\t\t\t"c@x.test",',
            "\t\t],",
            "",
            "\t\t/* legacy",
            "\t\tteam */",
            '\t\t"group:x": [],',
            "\t},",
            '\t"acls": [{',
            '\t\t"action": "accept",',
            '\t\t"src":    ["group:eng"],',
            '\t\t"dst":    ["tag:web:80"],',
            "\t}],",
            "}",
        ),
    )


def test_syntax_error_is_named_with_its_place() -> None:
    with pytest.raises(FormatError, match=r"p:2:6: invalid literal: tru; only text without"):
        _format('{\n"a": tru}')


def test_empty_text_cannot_be_formatted() -> None:
    with pytest.raises(FormatError, match="parsing value: unexpected EOF"):
        _format("")


def test_deep_nesting_on_one_line_is_formatted() -> None:
    text = "[" * 10_000 + "]" * 10_000
    formatted = _format(text)
    assert formatted.replace("\n", "").replace("\t", "") == text


def test_indentation_beyond_all_bounds_is_refused() -> None:
    with pytest.raises(FormatError, match="larger than 16 MiB"):
        _format("[\n" * 10_000 + "]" * 10_000)


@pytest.mark.parametrize("damage", ["number", "member", "comment"])
def test_result_that_says_something_else_is_not_returned(
    damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(root: Node) -> str:
        assert isinstance(root, Object)
        value = root.members[0].value
        assert isinstance(value, Number)
        if damage == "number":
            value.raw = "2"
        elif damage == "member":
            root.members.pop()
        else:
            root.tail = root.tail.replace("b", "c")
        return pack(root)

    monkeypatch.setattr(format_module, "_formatted", spoil)
    with pytest.raises(UnsoundFormatError, match="formatting would change what the policy says"):
        _format('{"a": 1, /* b */ }')


def test_source_is_left_as_it_was() -> None:
    source = Source("p", '{ "a":1 }')
    parsed = parse(source)
    format_source(source)
    assert parsed.root is not None
    assert parsed.root.span == (0, 9)
    assert source.text == '{ "a":1 }'
