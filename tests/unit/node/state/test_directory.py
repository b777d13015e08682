"""Files of one agent: modes, atomicity, one owner."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from node.state.directory import StateDirectory, StateError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    made = StateDirectory(tmp_path / "state")
    made.create()
    return made


def test_directory_and_files_are_for_their_owner_alone(directory: StateDirectory) -> None:
    directory.write("agent.json", {"a": 1})
    assert directory.path.stat().st_mode & 0o777 == 0o700
    assert (directory.path / "agent.json").stat().st_mode & 0o777 == 0o600


def test_path_too_long_for_a_socket_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="choose another --state-dir"):
        StateDirectory(tmp_path / ("x" * 100)).create()
    assert list(tmp_path.iterdir()) == []


def test_draft_with_an_open_mode_does_not_survive(directory: StateDirectory) -> None:
    draft = directory.path / "agent.json.new"
    draft.touch(mode=0o644)
    directory.write("agent.json", {})
    assert (directory.path / "agent.json").stat().st_mode & 0o777 == 0o600


def test_what_was_written_is_read(directory: StateDirectory) -> None:
    directory.write("agent.json", {"a": [1, "b"]})
    directory.write("agent.json", {"a": [2]})
    assert directory.read("agent.json") == {"a": [2]}


def test_missing_file_is_none(directory: StateDirectory) -> None:
    assert directory.read("agent.json") is None


@pytest.mark.parametrize("text", ["", "[1]", "{", "[" * 100_000])
def test_damaged_file_is_named(directory: StateDirectory, text: str) -> None:
    (directory.path / "agent.json").write_text(text)
    with pytest.raises(StateError, match=r"agent\.json: not a JSON object"):
        directory.read("agent.json")


def test_second_agent_is_turned_away(directory: StateDirectory) -> None:
    other = StateDirectory(directory.path)
    with (
        directory.held(),
        pytest.raises(StateError, match="another agent runs here"),
        other.held(),
    ):
        pass


def test_directory_is_free_after_its_owner_left(directory: StateDirectory) -> None:
    with directory.held():
        pass
    with directory.held():
        pass
