"""What can stand between a server and PostgreSQL, and lose things on the way."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import asynccontextmanager
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Fate", "PostgresProxy", "postgres_proxy"]

_SOCKET = ".s.PGSQL.5432"
_CHUNK = 1 << 16


class Fate(Enum):
    """What becomes of the next transaction that is committed."""

    ARRIVES = auto()
    ANSWER_IS_LOST = auto()
    """It is durable, and the connection breaks before anybody is told."""
    IS_LATE = auto()
    """It reaches PostgreSQL only after the client has given the connection up."""


class PostgresProxy:
    """Passes bytes between Unix sockets; `url` is that of the database behind it."""

    def __init__(self, behind: sa.URL, directory: Path) -> None:
        self.url = behind.update_query_dict({"host": str(directory)}).render_as_string()
        self._target = Path(str(behind.query["host"])) / _SOCKET
        self._generation = 0
        self.fate = Fate.ARRIVES

    def swallow(self) -> None:
        """Pass nothing on any more on the connections that there are, and keep them open."""
        self._generation += 1

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on until either side ends it."""
        born = self._generation
        there_reader, there_writer = await asyncio.open_unix_connection(str(self._target))
        answering = asyncio.create_task(self._answers(there_reader, writer, born))
        try:
            while data := await reader.read(_CHUNK):
                if self._generation != born:
                    continue
                if b"COMMIT" in data and self.fate is Fate.ANSWER_IS_LOST:
                    self.fate = Fate.ARRIVES
                    answering.cancel()
                    await asyncio.wait({answering})
                    there_writer.write(data)
                    await there_reader.read(_CHUNK)
                    break
                if b"COMMIT" in data and self.fate is Fate.IS_LATE:
                    self.fate = Fate.ARRIVES
                    await reader.read()
                there_writer.write(data)
        except ConnectionError:
            pass
        finally:
            answering.cancel()
            writer.close()
            there_writer.close()
            await asyncio.wait({answering})

    async def _answers(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, born: int
    ) -> None:
        while data := await reader.read(_CHUNK):
            if self._generation == born:
                writer.write(data)
        writer.close()


@asynccontextmanager
async def postgres_proxy(url: str) -> AsyncIterator[PostgresProxy]:
    """Run a proxy to the database of `url`, which names a directory of sockets as its host."""
    with tempfile.TemporaryDirectory(prefix="postern-proxy-") as directory:
        proxy = PostgresProxy(sa.make_url(url), Path(directory))
        async with asyncio.TaskGroup() as tasks:
            serving: set[asyncio.Task[None]] = set()

            def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                serving.add(tasks.create_task(proxy.serve(reader, writer)))

            server = await asyncio.start_unix_server(accept, str(Path(directory) / _SOCKET))
            try:
                yield proxy
            finally:
                server.close()
                for task in serving:
                    task.cancel()
