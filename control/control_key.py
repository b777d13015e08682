"""The control key, by which nodes know the server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from control.keys import MachinePrivate

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["load_control_key"]


def load_control_key(path: Path) -> MachinePrivate:
    """Read the control key, or make it at the first start; raises ValueError for other content."""
    try:
        return MachinePrivate.from_secret_text(path.read_text("ascii").strip())
    except FileNotFoundError:
        key = MachinePrivate.generate(os.urandom)
        # Under its name only once it is complete: a crash must not leave half a key.
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(key.to_secret_text() + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(unfinished)
        finally:
            unfinished.unlink()
        return key
