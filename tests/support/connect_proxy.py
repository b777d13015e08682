"""A web proxy that knows CONNECT and nothing else, as mandatory proxies often do.

`python -m tests.support.connect_proxy HOST PORT USER:PASSWORD` leads anywhere, a line a tunnel.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Mapping

HOST = "127.0.0.1"


@dataclass
class ConnectProxy:
    """What it lets through, and what it was asked."""

    places: Mapping[str, tuple[str, int]] | None = field(default_factory=dict)
    """Where each `host:port` really is that may be reached; None leads anywhere."""
    credentials: str = ""
    """`user:password` that everybody must show."""
    answer: bytes = b""
    """Sent in place of an answer of its own."""
    greeting: bytes = b""
    """Sent right behind the head that opens a tunnel."""
    targets: list[str] = field(default_factory=list)
    carried_bytes: int = 0
    port: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def url(self, credentials: str = "", scheme: str = "http") -> str:
        """Return what to put into the environment."""
        return f"{scheme}://{credentials and credentials + '@'}{HOST}:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._serve(reader, writer)
        writer.close()
        self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        self.targets.append(target)
        host, _, port = target.rpartition(":")
        place = (host, int(port)) if self.places is None else self.places.get(target)
        expected = base64.b64encode(self.credentials.encode()).decode()
        if self.answer:
            writer.write(self.answer)
        elif self.credentials and headers.get("Proxy-Authorization") != f"Basic {expected}":
            writer.write(
                b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                b'Proxy-Authenticate: Basic realm="x"\r\n\r\n'
            )
        elif method != "CONNECT":
            writer.write(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n")
        elif place is None:
            writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        else:
            out_reader, out_writer = await asyncio.open_connection(*place)
            print(f"tunnel to {target}", flush=True)  # noqa: T201  see above
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n" + self.greeting)
            await asyncio.gather(self._pump(reader, out_writer), self._pump(out_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                self.carried_bytes += len(data)
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()

    async def stop(self) -> None:
        """End what still goes on."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def running_proxy(
    proxy: ConnectProxy, tls: ssl.SSLContext | None = None
) -> AsyncIterator[ConnectProxy]:
    """Run a proxy for the length of the block; with `tls` it is spoken to over TLS."""
    server = await asyncio.start_server(proxy.serve, HOST, 0, ssl=tls)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.stop()
        await server.wait_closed()


async def serve_forever(host: str, port: int, credentials: str) -> None:
    """Lead anywhere whoever shows the credentials."""
    proxy = ConnectProxy(None, credentials)
    server = await asyncio.start_server(proxy.serve, host, port)
    print("proxy answers", flush=True)  # noqa: T201  for who waits
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve_forever(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
