from __future__ import annotations

import pytest

from policy.hujson.problems import (
    MAX_PROBLEMS,
    ProblemLog,
    invalid_character,
    invalid_literal,
    quoted,
)


@pytest.mark.parametrize(
    ("char", "wanted"),
    [
        ("x", "'x'"),
        (" ", "' '"),
        ('"', "'\"'"),
        ("'", r"'\''"),
        ("\\", r"'\\'"),
        ("\a", r"'\a'"),
        ("\v", r"'\v'"),
        ("\n", r"'\n'"),
        ("\x00", r"'\x00'"),
        ("\x7f", r"'\x7f'"),
        ("é", "'é'"),
        ("😀", "'😀'"),
        ("\x80", r"'\u0080'"),
        ("\xa0", r"'\u00a0'"),
        ("\u2028", r"'\u2028'"),
        ("\ufeff", r"'\ufeff'"),
        ("\U000e0001", r"'\U000e0001'"),
        ("\udcff", r"'\xff'"),
    ],
)
def test_character_is_quoted_as_the_service_does(char: str, wanted: str) -> None:
    assert quoted(char) == wanted


def test_message_names_character_and_place() -> None:
    assert invalid_character("#", "after object name") == "invalid character '#' after object name"


def test_literal_is_shown_whole_and_always_encodable() -> None:
    assert invalid_literal("1" * 500) == "invalid literal: " + "1" * 500
    assert invalid_literal('"é\udcff"') == 'invalid literal: "é\ufffd"'


@pytest.mark.parametrize(
    ("reported", "kept", "gave_up"),
    [
        (MAX_PROBLEMS - 1, MAX_PROBLEMS - 1, False),
        (MAX_PROBLEMS, MAX_PROBLEMS, True),
        (MAX_PROBLEMS + 5, MAX_PROBLEMS, True),
    ],
)
def test_log_is_bounded_and_says_so(reported: int, kept: int, gave_up: bool) -> None:
    log = ProblemLog()
    for at in range(reported):
        log.report("m", at, at)
    assert len(log.problems) == kept
    assert log.gave_up is gave_up
