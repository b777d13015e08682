from __future__ import annotations

import pytest

from policy.hujson.lexer import MAX_DEPTH, Bad, BadKind, Lexeme, Lexer
from policy.hujson.problems import ProblemKind, ProblemLog


def _lex(text: str) -> tuple[list[Lexeme], Lexer, ProblemLog]:
    log = ProblemLog()
    lexer = Lexer(text, log)
    return list(lexer.lexemes()), lexer, log


def test_each_lexeme_is_of_its_terminal() -> None:
    lexemes = _lex('{}[]:,"a""\\n"-1 true null @')[0]
    assert [lexeme.type for lexeme in lexemes] == [
        *("LBRACE", "RBRACE", "LSQB", "RSQB", "COLON", "COMMA"),
        *("STRING", "STRING", "SCALAR", "SCALAR", "SCALAR", "BAD"),
    ]


def test_offsets_and_extras_cover_the_whole_text() -> None:
    text = ' \t[ // c\n"a\\n" /* x */ , 1\r\n] /**/ /* end */\n'
    lexemes, lexer, _ = _lex(text)
    spelt = "".join(lexeme.before + text[lexeme.start : lexeme.end] for lexeme in lexemes)
    assert spelt + lexer.rest == text
    assert lexer.end_mark().before == " /**/ /* end */\n"


@pytest.mark.parametrize(
    ("text", "kind", "end"),
    [
        ("@@", BadKind.CHARACTER, 1),
        ("/ /", BadKind.CHARACTER, 1),
        ("\ufeff", BadKind.CHARACTER, 1),
        ("tru", BadKind.WORD, 3),
        ("01]", BadKind.WORD, 2),
        ("-", BadKind.WORD, 1),
        ('"a', BadKind.STRING, 2),
        ('"a\nb"', BadKind.STRING, 2),
        ('"a\\\nb"', BadKind.STRING, 3),
        ('"\\x" ', BadKind.STRING, 4),
        ('"\t"', BadKind.STRING, 3),
        ('"\udcff"', BadKind.STRING, 3),
        ('"\\u12G4"', BadKind.STRING, 8),
        ('"\\\\\\q"', BadKind.STRING, 6),
    ],
)
def test_what_is_no_lexeme_is_bad_up_to_the_end_of_its_line(
    text: str, kind: BadKind, end: int
) -> None:
    first = _lex(text)[0][0]
    assert isinstance(first, Bad)
    assert (first.kind, first.start, first.end) == (kind, 0, end)


@pytest.mark.parametrize("text", ['"a\\\\"', '"\\\\\\""', '"\\u12aF\\/"'])
def test_string_with_escapes_is_read_whole(text: str) -> None:
    (lexeme,) = _lex(text)[0]
    assert (lexeme.type, lexeme.end) == ("STRING", len(text))


@pytest.mark.parametrize(("text", "end"), [('"a\nb"c', 5), ('"a\\\n"', 5), ('"\\"', -1), ('"', -1)])
def test_end_of_string_goes_by_the_grammar(text: str, end: int) -> None:
    assert Lexer(text, ProblemLog()).end_of_string(0) == end


@pytest.mark.parametrize("text", ["// no end", "/* no end", "/*/", "/* *", "// \\"])
def test_comment_without_end_is_refused_at_the_end_of_the_text(text: str) -> None:
    lexemes, _, log = _lex(f"1 {text}")
    assert len(lexemes) == 1
    (problem,) = log.problems
    assert problem.message == "parsing comment: unexpected EOF"
    assert problem.span.start == len(text) + 2
    assert problem.related[0][1].start == 2
    assert log.gave_up


@pytest.mark.parametrize("comment", ["// é\udcff\n", "/* é\udcff */", "/*é \udcff\n\n*/"])
def test_comment_that_is_not_utf8_is_refused_at_the_byte_and_read_past(comment: str) -> None:
    lexemes, _, log = _lex(f"{comment}1")
    assert [lexeme.type for lexeme in lexemes] == ["SCALAR"]
    (problem,) = log.problems
    assert problem.message == "invalid UTF-8 in comment"
    assert problem.kind is ProblemKind.ENCODING
    assert problem.span == (comment.index("\udcff"), comment.index("\udcff") + 1)


def test_brackets_beyond_the_limit_are_not_read() -> None:
    lexemes, _, log = _lex("[" * (MAX_DEPTH + 5))
    assert len(lexemes) == MAX_DEPTH
    (problem,) = log.problems
    assert problem.message == "nested more than 10000 levels deep"
    assert problem.kind is ProblemKind.TOO_DEEP
    assert problem.span == (MAX_DEPTH, MAX_DEPTH + 1)
