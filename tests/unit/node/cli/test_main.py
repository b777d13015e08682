"""The `postern` command: its subcommands, and what it says where a package is missing."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from node.cli import commands, main

if TYPE_CHECKING:
    import pytest


def test_help_says_what_each_command_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    for name in commands():
        assert re.search(rf"^  {name} +\S+", said, re.MULTILINE), name


def test_near_name_is_offered(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stauts"]) == 1
    assert "did you mean `status`?" in capsys.readouterr().err


def test_unknown_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fly"]) == 1
    assert "no command 'fly'; see postern --help" in capsys.readouterr().err


def test_missing_package_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Refusing:
        """Finds no module of one package."""

        def find_spec(self, name: str, *_: Any) -> None:
            if name.partition(".")[0] == "missing_package":
                raise ModuleNotFoundError(name=name)

    command = type("Command", (), {"name": "fly", "load": lambda _: __import__("missing_package")})
    monkeypatch.setattr(sys, "meta_path", [Refusing(), *sys.meta_path])
    monkeypatch.setattr("node.cli.commands", lambda: {"fly": command()})
    assert main(["fly"]) == 2
    said = capsys.readouterr().err
    assert "missing_package" in said
    assert "postern[all]" in said
