"""A PostgreSQL server of our own, from Debian's package, on a socket in a temporary directory."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["PostgresServer", "find_postgres", "postgres_server"]


def find_postgres() -> Path | None:
    """Return the directory of the server's programs, or None where none is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


class PostgresServer:
    """A running server; `url()` names a fresh database."""

    def __init__(self, programs: Path, directory: Path, account: Sequence[str]) -> None:
        self._programs = programs
        self._directory = directory
        self._account = account
        self._databases = 0

    def run(self, program: str, *arguments: str) -> None:
        """Run one of the server's programs to its end; raises CalledProcessError."""
        subprocess.run(
            [*self._account, str(self._programs / program), *arguments],
            check=True,
            capture_output=True,
            cwd=self._directory,
            timeout=60,
        )

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = f"-k {self._directory} -c listen_addresses='' -c fsync=on"
        log = str(self._directory / "log")
        data = str(self._directory / "data")
        self.run("pg_ctl", "-D", data, "-w", "-o", options, "-l", log, "start")

    def stop(self, *, mode: str = "fast") -> None:
        """Stop the server; mode `immediate` is a crash."""
        self.run("pg_ctl", "-D", str(self._directory / "data"), "-w", "-m", mode, "stop")

    @property
    def host(self) -> str:
        """The directory of its socket, as URLs spell it."""
        return str(self._directory)

    def url(self) -> str:
        """Make a database and return its URL."""
        self._databases += 1
        name = f"test{self._databases}"
        self.run("createdb", "-h", str(self._directory), "-U", "tester", name)
        return f"postgresql://tester@/{name}?host={self.host}"


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Run a server for the length of the block."""
    programs = find_postgres()
    if programs is None:
        raise FileNotFoundError("no PostgreSQL server is installed (Debian: postgresql)")
    directory = Path(tempfile.mkdtemp(prefix="postern-postgres-"))
    try:
        server = PostgresServer(programs, directory, _account(directory))
        data = str(directory / "data")
        server.run("initdb", "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync")
        server.start()
        try:
            yield server
        finally:
            server.stop(mode="immediate")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _account(directory: Path) -> list[str]:
    """Return how to run as somebody whom the server accepts, who is never root."""
    if os.geteuid() != 0:
        return []
    account = pwd.getpwnam("postgres")
    os.chown(directory, account.pw_uid, account.pw_gid)
    return ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
