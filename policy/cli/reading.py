"""Reading what the command line names, never more than what can be worth reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.cli.exit_codes import CannotRunError
from policy.source import MAX_BYTES, Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.directory import Directory
    from policy.cli.console import Console

__all__ = ["STDIN", "read_directory", "read_source", "refuse_stdin_twice"]

STDIN = "-"
_MAX_INVENTORY_BYTES = 512 * 1024 * 1024


def read_source(path: str, console: Console, stdin_name: str = "<stdin>") -> Source:
    """Read a policy or a suite; raises CannotRunError.

    Of a file that is too large, one byte too many is read: enough for the parser to refuse it.
    """
    data = _read(path, console, MAX_BYTES + 1)
    return Source.from_bytes(stdin_name if path == STDIN else path, data)


def read_directory(path: str, console: Console) -> Directory:
    """Read an inventory; raises CannotRunError."""
    # The engine and pydantic are needed for inventories alone.
    from engine.inventory import InventoryError, read_inventory  # noqa: PLC0415

    data = _read(path, console, _MAX_INVENTORY_BYTES + 1)
    if len(data) > _MAX_INVENTORY_BYTES:
        raise CannotRunError(f"{path}: an inventory of more than {_MAX_INVENTORY_BYTES >> 20} MiB")
    try:
        return read_inventory(data)
    except InventoryError as error:
        raise CannotRunError(f"{path}: not a usable inventory: {error}") from error


def refuse_stdin_twice(paths: Iterable[str | None]) -> None:
    """Raise CannotRunError where more than one thing is to come from standard input."""
    if sum(path == STDIN for path in paths) > 1:
        raise CannotRunError("standard input (`-`) can be read only once")


def _read(path: str, console: Console, limit: int) -> bytes:
    try:
        if path == STDIN:
            return console.stdin.read(limit)
        with open(path, "rb") as file:  # noqa: PTH123  pathlib would be half of a small check
            return file.read(limit)
    except IsADirectoryError:
        raise CannotRunError(f"{path}: is a directory; name the files in it") from None
    except OSError as error:
        raise CannotRunError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        # A path that no file can have, with a null character in it.
        raise CannotRunError(f"{path!r}: {error}") from error
