"""The kept parse tables against the grammars they are made from."""

from __future__ import annotations

import pytest

from policy.lalr.generate import GRAMMARS, Grammar, render


@pytest.mark.parametrize("grammar", GRAMMARS, ids=lambda grammar: grammar.path.name)
def test_kept_table_is_what_the_grammar_gives_now(grammar: Grammar) -> None:
    assert grammar.tables.read_text(encoding="utf-8") == render(grammar)
