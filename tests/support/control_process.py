"""A control server in a process of its own, which can be killed."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import sys
from typing import TYPE_CHECKING, Any

from control.cli import main
from node.session.driver import ControlUrl

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess
    from pathlib import Path

__all__ = ["ControlProcess", "ForkedControl"]

_RUN = "import sys; from control.cli import main; sys.exit(main(sys.argv[1:]))"


class ControlProcess:
    """`postern control serve` with its files in one directory."""

    def __init__(self, directory: Path, database: str, **changes: Any) -> None:
        self.database = database
        self.socket = directory / "control.sock"
        self._config = directory / "control.yaml"
        values = {
            "listen_addr": "127.0.0.1:0",
            "metrics_listen_addr": "",
            "unix_socket": str(self.socket),
            "database": database,
            "noise": {"private_key_path": str(directory / "noise.key")},
            "dns": {"base_domain": "tail.example"},
            "shutdown_spread": 0,
            "register_limit": {"burst": 100_000, "per_second": 100_000},
            "connect_limit": {"burst": 100_000, "per_second": 100_000},
            **changes,
        }
        # JSON is YAML.
        self._config.write_text(json.dumps(values))
        self._process: asyncio.subprocess.Process | None = None
        self.url = ControlUrl("http", "127.0.0.1", 0)

    async def start(self) -> None:
        """Start and wait until it listens; raises RuntimeError with what it said instead."""
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _RUN,
            "serve",
            "-c",
            str(self._config),
            stderr=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
        )
        said = b""
        while process.stderr is not None and (line := await process.stderr.readline()):
            said += line
            if b"ready on port" in line:
                self.url = ControlUrl("http", "127.0.0.1", int(line.split()[-1]))
                return
        raise RuntimeError(f"the server did not start: {said.decode(errors='replace')}")

    def signal(self, number: int) -> None:
        """Send it a signal."""
        if self._process is not None:
            self._process.send_signal(number)

    async def heard(self, text: bytes) -> None:
        """Wait until a line with a text is in its log."""
        stderr = None if self._process is None else self._process.stderr
        while stderr is not None and (line := await stderr.readline()):
            if text in line:
                return
        raise RuntimeError(f"the server ended without saying {text.decode()}")

    async def kill(self) -> None:
        """End it without a chance to tidy up."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def stop(self) -> int:
        """Ask it to end; return its exit status."""
        if self._process is None:
            return 0
        self._process.terminate()
        return await self._process.wait()


_FORKS = multiprocessing.get_context("forkserver")


def _serve_forked(config: str, log: str) -> None:
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
    sys.exit(main(["serve", "-c", config]))


class ForkedControl(ControlProcess):
    """A server forked from a process that has imported everything already.

    It can be killed a hundred times where an interpreter's start would take most of the time.
    """

    def __init__(self, directory: Path, database: str, **changes: Any) -> None:
        super().__init__(directory, database, **changes)
        _FORKS.set_forkserver_preload(["control.app", "control.cli"])
        self._log = directory / "log"
        self._child: ForkServerProcess | None = None

    async def start(self) -> None:
        """Start and wait until it listens; raises RuntimeError with what it said instead."""
        self._log.unlink(missing_ok=True)
        child = _FORKS.Process(target=_serve_forked, args=(str(self._config), str(self._log)))
        await asyncio.to_thread(child.start)
        self._child = child
        while child.is_alive():
            said = self._log.read_text() if self._log.exists() else ""
            for line in said.splitlines(keepends=True):
                if "ready on port" in line and line.endswith("\n"):
                    self.url = ControlUrl("http", "127.0.0.1", int(line.split()[-1]))
                    return
            await asyncio.sleep(0.01)
        raise RuntimeError(f"the server did not start: {self._log.read_text()}")

    async def kill(self) -> None:
        """End it without a chance to tidy up."""
        if self._child is not None:
            self._child.kill()
            await asyncio.to_thread(self._child.join)

    async def stop(self) -> int:
        """Ask it to end; return its exit status."""
        if self._child is None:
            return 0
        self._child.terminate()
        await asyncio.to_thread(self._child.join)
        return self._child.exitcode or 0
