"""`postern debug` and the other commands that ask the agent, without one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from node.cli import debug, main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    calls: list[tuple[Any, ...]] = []

    def ask(options: Any, method: str, path: str, value: object = None) -> dict[str, Any]:
        calls.append((str(options.state_dir), method, path, value))
        return {"answer": 1}

    monkeypatch.setattr(debug, "ask_agent", ask)
    return calls


@pytest.mark.parametrize("where", [("--state-dir", "/s", "paths"), ("paths", "--state-dir", "/s")])
def test_state_directory_may_stand_on_either_side(
    asked: list[tuple[Any, ...]], where: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert debug.main(list(where)) == 0
    assert asked == [("/s", "GET", "/debug/paths", None)]
    assert '"answer": 1' in capsys.readouterr().out


def test_capture_begins_with_a_file_and_ends_without(
    asked: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    file = str(tmp_path / "x.pcapng")
    assert debug.main(["capture", file, "--only", "dropped", "--state-dir", "/s"]) == 0
    assert debug.main(["capture", "--state-dir", "/s"]) == 0
    assert asked == [
        ("/s", "PUT", "/debug/capture", {"file": file, "what": "dropped"}),
        ("/s", "DELETE", "/debug/capture", None),
    ]


def test_log_level_is_one_of_four(asked: list[tuple[Any, ...]]) -> None:
    assert debug.main(["log-level", "debug", "--state-dir", "/s"]) == 0
    assert asked == [("/s", "PUT", "/debug/log-level", {"level": "debug"})]
    with pytest.raises(SystemExit):
        debug.main(["log-level", "shout"])


def test_cleanup_without_a_directory_says_what_to_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["down", "--cleanup", "--state-dir", str(tmp_path / "none")]) == 1
    assert "name the agent's --state-dir" in capsys.readouterr().err
