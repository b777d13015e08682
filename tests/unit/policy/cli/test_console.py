from __future__ import annotations

import pytest

from tests.support.console import console, run_policy


def _is_coloured(option: str = "auto", *, terminal: bool = True, **environ: str) -> bool:
    return console(environ=environ, terminal=terminal).style(option).is_coloured


def test_a_terminal_gets_colours() -> None:
    assert _is_coloured()


def test_nothing_else_gets_colours() -> None:
    assert not _is_coloured(terminal=False)


def test_a_dumb_terminal_gets_none() -> None:
    assert not _is_coloured(TERM="dumb")


def test_no_color_is_heeded() -> None:
    assert not _is_coloured(NO_COLOR="1")


def test_an_empty_no_color_means_nothing() -> None:
    assert _is_coloured(NO_COLOR="")


@pytest.mark.parametrize("name", ["FORCE_COLOR", "CLICOLOR_FORCE"])
def test_colours_can_be_forced(name: str) -> None:
    assert _is_coloured(terminal=False, **{name: "1"})


def test_no_color_beats_force_color() -> None:
    assert not _is_coloured(NO_COLOR="1", FORCE_COLOR="1")


def test_the_option_beats_the_environment() -> None:
    assert _is_coloured("always", terminal=False, NO_COLOR="1")
    assert not _is_coloured("never", FORCE_COLOR="1")


def test_findings_on_a_terminal_are_coloured() -> None:
    ran = run_policy("check", "-", stdin=b"{", terminal=True)
    assert "\x1b[1;31merror[POL102]\x1b[0m" in ran.stdout


def test_complaints_are_one_line_and_obeyed_by_no_terminal() -> None:
    ran = run_policy("check", "a\x1b[2J\nb")
    assert ran.stderr == "policy: a\u241b[2J\u240ab: No such file or directory\n"
