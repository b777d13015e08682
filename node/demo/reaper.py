"""Takes a lab down when whoever made it is gone without having done so: even after a kill -9.

`python -m node.demo.reaper PREFIX [DIRECTORY...]` waits until its standard input ends. Then it ends
what runs in the network namespaces whose names begin so, deletes them, and the directories. It has
nothing to do where they are gone.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

__all__ = ["main", "take_down"]

_NAMESPACES: Final = Path("/run/netns")


def main(arguments: list[str]) -> int:
    """Wait, then take everything down. Returns the exit status."""
    prefix, *directories = arguments
    # Whatever ends its owner by signal must not end this.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.read()
    take_down(prefix)
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)
    return 0


def take_down(prefix: str) -> None:
    """End what runs in namespaces whose names begin so, and delete them."""
    for path in sorted(_NAMESPACES.glob(f"{prefix}*")):
        for number in _ip("netns", "pids", path.name).split():
            try:
                os.kill(int(number), signal.SIGKILL)
            except ProcessLookupError:
                continue
        _ip("netns", "del", path.name)


def _ip(*arguments: str) -> str:
    done = subprocess.run(  # noqa: S603  names of our own
        ["ip", *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
