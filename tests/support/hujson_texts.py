"""Hypothesis strategies for HuJSON: well-formed texts, nearly well-formed ones, and noise."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

UNHURRIED = settings(deadline=None)
"""How long an example takes says nothing here."""
MANY = settings(deadline=None, max_examples=400)

_BLANKS = st.text(" \t\r\n", max_size=4)
_COMMENT_CHARS = st.characters(exclude_categories=["Cs"], exclude_characters="\n")

_LINE_COMMENTS = st.text(_COMMENT_CHARS | st.sampled_from('/*"{}[],:\\\r'), max_size=12).map(
    lambda text: f"//{text}\n"
)
_BLOCK_COMMENTS = st.text(_COMMENT_CHARS | st.sampled_from(' \t\n*/"{}[],:\\\r'), max_size=16).map(
    lambda text: "/*" + text.replace("*/", "") + "*/"
)

EXTRAS = st.lists(_BLANKS | _LINE_COMMENTS | _BLOCK_COMMENTS, max_size=4).map("".join)
"""Runs of whitespace and comments."""

BLANKS = _BLANKS

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), inner)
    ),
    max_leaves=12,
)
"""Plain JSON values."""

_SPELLINGS = {
    '"': ['\\"', "\\u0022"],
    "\\": ["\\\\", "\\u005C"],
    "/": ["/", "\\/"],
    "\b": ["\\b"],
    "\f": ["\\f"],
    "\n": ["\\n", "\\u000a"],
    "\r": ["\\r"],
    "\t": ["\\t"],
}


@st.composite
def string_literals(draw: st.DrawFn, value: str) -> str:
    """Spell `value` with escapes chosen at random."""
    parts = []
    for char in value:
        units = char.encode("utf-16-be").hex()
        escaped = "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
        plain = _SPELLINGS.get(char, [char] if char >= " " else [])
        parts.append(draw(st.sampled_from([*plain, escaped])))
    return '"' + "".join(parts) + '"'


@st.composite
def spellings(
    draw: st.DrawFn, value: Any, extras: st.SearchStrategy[str] = EXTRAS, *, trailing: bool = True
) -> str:
    """Spell a plain JSON value with `extras` at every place that may have one."""
    before, after = draw(extras), draw(extras)
    if isinstance(value, str):
        return before + draw(string_literals(value)) + after
    if not isinstance(value, (dict, list)):
        return before + json.dumps(value) + after
    if isinstance(value, dict):
        parts = [
            draw(spellings(name, extras)) + ":" + draw(spellings(inner, extras, trailing=trailing))
            for name, inner in value.items()
        ]
    else:
        parts = [draw(spellings(inner, extras, trailing=trailing)) for inner in value]
    if not parts or (trailing and draw(st.booleans())):
        parts.append(draw(extras))
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return before + opening + ",".join(parts) + closing + after


TEXTS = VALUES.flatmap(spellings)
"""Well-formed HuJSON."""

STANDARD_TEXTS = VALUES.flatmap(lambda value: spellings(value, BLANKS, trailing=False))
"""Well-formed JSON."""

_TOKENS = st.sampled_from(
    [
        *"{}[],:\"'/*#\\ \n\t\r0-.+eEax\ufeff\u00a0\u2028é😀\x00\x1f",
        *(
            '"a"',
            '"b":',
            '"a": 1',
            "true",
            "nul",
            "12",
            "-0.5e+3",
            "01",
            "//",
            "/*",
            "*/",
            "// c\n",
        ),
        *('"\\n"', '"\\x"', '"\\ud800"', "[1, 2]", '{"a": {}}', "},\n", "],\n", "\udcff", "\udc80"),
    ]
)

_NOISE = st.lists(_TOKENS, max_size=20).map("".join)


@st.composite
def _damaged(draw: st.DrawFn) -> str:
    text = draw(TEXTS)
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 3)))
        text = text[:start] + draw(st.just("") | _TOKENS) + text[end:]
    return text


ANY_TEXTS = _damaged() | _NOISE | TEXTS | st.text(max_size=40)
"""Texts of every kind, most of them broken in some way."""

ANY_BYTES = st.one_of(
    st.binary(max_size=60),
    (_damaged() | _NOISE).map(lambda text: text.encode("utf-8", "surrogateescape")),
)
"""Bytes of every kind, not all of them UTF-8."""
