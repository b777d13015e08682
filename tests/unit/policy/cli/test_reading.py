from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from policy.cli.exit_codes import CannotRunError
from policy.cli.reading import read_directory, read_source, refuse_stdin_twice
from policy.source import MAX_BYTES
from tests.support.console import console

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_read_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "p"
    path.write_bytes(b"\xff\r\n{}")
    assert read_source(str(path), console()).to_bytes() == b"\xff\r\n{}"


def test_no_more_is_read_than_tells_that_it_is_too_much() -> None:
    used = console(b" " * (MAX_BYTES + 100))
    assert len(read_source("-", used).text) == MAX_BYTES + 1


def test_standard_input_has_a_name() -> None:
    assert read_source("-", console(), "x").name == "x"


@pytest.mark.parametrize("name", ["missing", "", "a\x00b", "."])
def test_what_cannot_be_read_is_told_with_its_name(name: str) -> None:
    with pytest.raises(CannotRunError, match=r".") as told:
        read_source(name, console())
    assert "Traceback" not in str(told.value)


def test_a_directory_is_told_as_one(tmp_path: Path) -> None:
    with pytest.raises(CannotRunError, match="is a directory"):
        read_source(str(tmp_path), console())


def test_an_inventory_that_is_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "i.json"
    path.write_text("[")
    with pytest.raises(CannotRunError, match="not a usable inventory"):
        read_directory(str(path), console())


def test_an_inventory_is_read(tmp_path: Path) -> None:
    path = tmp_path / "i.json"
    path.write_text('{"users": [{"loginName": "a@b.test"}]}')
    assert set(read_directory(str(path), console()).by_login) == {"a@b.test"}


def test_standard_input_is_wanted_once() -> None:
    refuse_stdin_twice(["-", "x", None])
    with pytest.raises(CannotRunError, match="only once"):
        refuse_stdin_twice(["-", "x", "-"])
