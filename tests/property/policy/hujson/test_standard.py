from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from hypothesis import given

from policy.hujson.parse import parse
from policy.hujson.plain import to_python
from policy.hujson.standard import minimize, standardize
from policy.source import Source
from tests.support.hujson_texts import STANDARD_TEXTS, TEXTS, UNHURRIED

if TYPE_CHECKING:
    from policy.hujson.tree import Node


def _root(text: str) -> Node:
    root = parse(Source("p", text)).root
    assert root is not None
    return root


@given(TEXTS)
@UNHURRIED
def test_standardized_text_is_json_of_the_same_value(text: str) -> None:
    root = _root(text)
    assert json.loads(standardize(root)) == to_python(root)


@given(TEXTS)
@UNHURRIED
def test_standardized_text_differs_only_in_bytes_that_became_spaces(text: str) -> None:
    before = text.encode()
    after = standardize(_root(text)).encode()
    assert len(after) == len(before)
    assert all(new in (old, 0x20) for old, new in zip(before, after, strict=True))
    assert after.count(b"\n") == before.count(b"\n")


@given(STANDARD_TEXTS)
@UNHURRIED
def test_json_standardizes_to_itself(text: str) -> None:
    assert standardize(_root(text)) == text


@given(TEXTS)
@UNHURRIED
def test_minimized_text_is_json_of_the_same_value_without_a_blank(text: str) -> None:
    root = _root(text)
    minimal = minimize(root)
    assert json.loads(minimal) == to_python(root)
    assert not re.search(r"\s", re.sub(r'"(?:\\.|[^"\\])*"', "", minimal))


@given(TEXTS)
@UNHURRIED
def test_minimizing_the_standardized_text_comes_to_the_same(text: str) -> None:
    root = _root(text)
    assert minimize(_root(standardize(root))) == minimize(root)
