from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from policy.cli.commands import COMMANDS
from policy.cli.entry import run
from tests.support.console import console, run_policy

if TYPE_CHECKING:
    from pathlib import Path

_POLICY = [sys.executable, "-m", "policy.cli"]


def test_help_lists_every_subcommand() -> None:
    ran = run_policy("--help")
    assert ran.code == 0
    assert all(f"  {name} " in ran.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_subcommand_has_help_with_examples(name: str) -> None:
    ran = run_policy(name, "--help")
    assert ran.code == 0
    assert f"examples:\n  policy {name} " in ran.stdout


@pytest.mark.parametrize("columns", ["40", "60", "200", "x", "0"])
def test_help_fits_a_terminal_of_any_width(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert run_policy("check", "--help").code == 0


def test_no_arguments_is_wrong_usage_with_help() -> None:
    ran = run_policy()
    assert ran.code == 2
    assert "commands:" in ran.stdout


def test_the_version_is_printed() -> None:
    assert run_policy("--version").stdout.startswith("policy ")


def test_an_unknown_subcommand_is_refused_with_the_nearest() -> None:
    ran = run_policy("chekc")
    assert ran.code == 2
    assert ran.stderr == "policy: there is no subcommand `chekc`; did you mean `check`?\n"


def test_an_unknown_option_is_refused_in_one_line() -> None:
    ran = run_policy("check", "x", "--frobnicate")
    assert ran.code == 2
    assert ran.stderr.count("\n") == 1
    assert "--frobnicate" in ran.stderr


def test_a_fault_of_ours_is_told_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise RuntimeError("oops")

    monkeypatch.setattr("policy.cli.rule.run", fail)
    used = console()
    assert run(["rule", "--all"], used) == 2
    assert isinstance(used.stderr, io.StringIO)
    assert "internal fault (POL901): RuntimeError: oops" in used.stderr.getvalue()


def test_the_keyboard_ends_a_run_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("policy.cli.rule.run", interrupt)
    ran = run_policy("rule", "--all")
    assert ran.code == 130
    assert ran.stderr == "policy: interrupted\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_enough_is_no_error(unbuffered: str) -> None:
    environ = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ran = subprocess.run(
            [*_POLICY, "rule", "--all"],
            stdout=writer,
            stderr=subprocess.PIPE,
            env=environ,
            check=False,
        )
    finally:
        os.close(writer)
    assert ran.stderr == b""
    assert ran.returncode == 2


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_told_in_one_line(unbuffered: str) -> None:
    environ = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "wb") as full:  # noqa: PTH123  a device
        ran = subprocess.run(
            [*_POLICY, "rule", "--all"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environ,
            check=False,
        )
    assert ran.returncode == 2
    assert ran.stderr == b"policy: cannot write: No space left on device\n"


def test_an_interrupt_signal_leaves_no_traceback(tmp_path: Path) -> None:
    fifo = tmp_path / "policy.hujson"
    os.mkfifo(fifo)
    child = subprocess.Popen([*_POLICY, "check", str(fifo)], stderr=subprocess.PIPE)
    # Opening for writing waits until the child has opened for reading.
    with fifo.open("wb"):
        child.send_signal(signal.SIGINT)
        _, told = child.communicate(timeout=60)
    assert child.returncode == 130
    assert told == b"policy: interrupted\n"


def test_text_that_the_terminal_cannot_encode_is_escaped(tmp_path: Path) -> None:
    path = tmp_path / "p.hujson"
    path.write_text('{"acls": [{"action": "\u65e5"}]}', encoding="utf-8")
    environ = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    ran = subprocess.run(
        [*_POLICY, "check", str(path)], capture_output=True, env=environ, check=False
    )
    assert ran.returncode == 1
    assert b"\\u65e5" in ran.stdout
    assert ran.stderr == b""


def test_a_small_check_imports_no_more_than_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "p.hujson"
    path.write_text('{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]}')
    code = (
        "import sys; from policy.cli.entry import run_process;"
        f"sys.argv = ['policy', 'check', {str(path)!r}]; run_process();"
        "print(*sys.modules, file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    loaded = {name.partition(".")[0] for name in ran.stderr.split()}
    heavy = {"asyncio", "dataclasses", "engine", "inspect", "json", "lark", "logging", "pathlib"}
    heavy |= {"pydantic", "shutil", "tempfile", "unicodedata", "difflib", "xml"}
    assert not loaded & heavy
