"""One agent's directory: files of mode 0600, written whole or not at all, one owner at a time.

DIRECTORY/              0700
    agent.json          keys and preferences
    netmap.json         the last netmap, for starting without the control server
    resolver.json       the host's resolver file while ours is in its place
    agent.lock          held while an agent runs
    agent.sock          the local API
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["StateDirectory", "StateError"]

_MAX_BYTES = 64 << 20
_MAX_SOCKET_BYTES = 107
"""Of a Unix socket's path, on Linux (unix(7))."""


class StateError(Exception):
    """The directory or a file in it cannot be used; the message says which and what to do."""


class StateDirectory:
    """Reads and writes the files of one agent."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def socket(self) -> Path:
        """Where the local API listens."""
        return self.path / "agent.sock"

    @property
    def log(self) -> Path:
        """Where an agent that was started in the background writes its log."""
        return self.path / "agent.log"

    def create(self) -> None:
        """Make the directory, for its owner alone. Raises StateError."""
        if len(os.fsencode(self.socket)) > _MAX_SOCKET_BYTES:
            raise StateError(
                f"{self.socket}: longer than the {_MAX_SOCKET_BYTES} bytes that the path of a "
                "socket may have; choose another --state-dir"
            )
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(f"{self.path}: {error.strerror}; choose another --state-dir") from None

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Own the directory for the length of the block. Raises StateError when another does."""
        lock = os.open(self.path / "agent.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise StateError(
                    f"{self.path}: another agent runs here; give each its own --state-dir"
                ) from None
            yield
        finally:
            os.close(lock)

    def read(self, name: str) -> dict[str, Any] | None:
        """Return the JSON object in a file, None where there is no file. Raises StateError."""
        path = self.path / name
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateError(f"{path}: {error.strerror}") from None
        try:
            value = json.loads(data) if len(data) <= _MAX_BYTES else None
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise StateError(f"{path}: not a JSON object; restore a copy, or move it away")
        return value

    def write(self, name: str, value: dict[str, Any]) -> None:
        """Replace a file; a crash leaves the old one or the new one. Raises StateError."""
        path, draft = self.path / name, self.path / f"{name}.new"
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            with os.fdopen(os.open(draft, flags, 0o600), "w") as file:
                # A draft that a crash left may have another mode.
                os.fchmod(file.fileno(), 0o600)
                json.dump(value, file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError as error:
            raise StateError(f"{path}: {error.strerror}") from None

    def delete(self, name: str) -> None:
        """Remove a file if it is there."""
        (self.path / name).unlink(missing_ok=True)
