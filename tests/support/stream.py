"""A conversation over TCP that notices every silence; run in a host as a program.

- `stream.py echo ADDRESS PORT` sends back what comes
- `stream.py talk ADDRESS PORT` sends numbered blocks fifty times a second and takes the echo, until
  its standard input ends. Prints `silent FROM TO` (monotonic seconds) for every silence above a
  tenth of a second, and at last `same BYTES` or `DIFFERENT`, by the SHA-256 of both directions.
"""

# ruff: noqa: T201  a program that speaks on its standard output

from __future__ import annotations

import asyncio
import hashlib
import sys
import time

_EVERY_S = 0.02
_NOTABLE_S = 0.1
_LAST_S = 30.0


def _block(number: int) -> bytes:
    """Return a kilobyte that no other number has."""
    return hashlib.shake_128(number.to_bytes(8, "big")).digest(1024)


async def echo(address: str, port: int) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, address, port)
    print("ready", flush=True)
    await server.serve_forever()


async def talk(address: str, port: int) -> None:
    reader, writer = await asyncio.open_connection(address, port)
    sent, heard = hashlib.sha256(), hashlib.sha256()
    ending = asyncio.create_task(asyncio.to_thread(sys.stdin.read))

    async def say() -> int:
        number = 0
        while not ending.done():
            block = _block(number)
            sent.update(block)
            writer.write(block)
            await writer.drain()
            number += 1
            await asyncio.sleep(_EVERY_S)
        writer.write_eof()
        return number * 1024

    async def listen() -> int:
        total, heard_at = 0, time.monotonic()
        while data := await reader.read(65536):
            now = time.monotonic()
            if total and now - heard_at > _NOTABLE_S:
                print(f"silent {heard_at} {now}", flush=True)
            if not total:
                print("open", flush=True)
            total, heard_at = total + len(data), now
            heard.update(data)
        return total

    listening = asyncio.create_task(listen())
    said = await say()
    async with asyncio.timeout(_LAST_S):
        got = await listening
    writer.close()
    is_same = said == got and sent.digest() == heard.digest()
    print(f"same {got}" if is_same else f"DIFFERENT: {said} and {got}", flush=True)


if __name__ == "__main__":
    what, where, at = sys.argv[1:]
    asyncio.run({"echo": echo, "talk": talk}[what](where, int(at)))
