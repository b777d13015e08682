"""Moves bytes over TCP and says their digest; run in a host as a program.

- `transfer.py serve ADDRESS PORT` receives and answers size and SHA-256 of each connection
- `transfer.py send ADDRESS PORT BYTES SEED [MSS]`
- `transfer.py idle ADDRESS PORT` connects, says "open", waits, says how it ended
- `transfer.py accept ADDRESS PORT` accepts, says "open", waits, says how it ended
"""

# ruff: noqa: T201  a program that speaks on its standard output

from __future__ import annotations

import hashlib
import random
import socket
import sys
import time

_CHUNK = 1 << 18


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _listen(address: str, port: int) -> socket.socket:
    return socket.create_server((address, port), family=_family(address), backlog=8)


def serve(address: str, port: int) -> None:
    server = _listen(address, port)
    while True:
        connection, _ = server.accept()
        digest, total = hashlib.sha256(), 0
        with connection:
            while data := connection.recv(_CHUNK):
                digest.update(data)
                total += len(data)
            connection.sendall(f"{total} {digest.hexdigest()}".encode())


def send(address: str, port: int, size: int, seed: int, mss: int = 0) -> None:
    block = random.Random(seed).randbytes(_CHUNK + seed % 7)  # noqa: S311  test data, no secret
    digest, left = hashlib.sha256(), size
    with socket.socket(_family(address), socket.SOCK_STREAM) as connection:
        if mss:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, mss)
        connection.connect((address, port))
        while left:
            piece = block[:left]
            connection.sendall(piece)
            digest.update(piece)
            left -= len(piece)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while data := connection.recv(_CHUNK):
            answer += data
    want = f"{size} {digest.hexdigest()}"
    print("same" if answer.decode() == want else f"DIFFERENT: {answer!r} for {want}", flush=True)


def _wait_for_the_end(connection: socket.socket) -> None:
    print("open", flush=True)
    try:
        end = "closed" if not connection.recv(1) else "data"
    except ConnectionResetError:
        end = "reset"
    print(f"{end} {time.monotonic()}", flush=True)


def idle(address: str, port: int) -> None:
    _wait_for_the_end(socket.create_connection((address, port)))


def accept(address: str, port: int) -> None:
    connection, _ = _listen(address, port).accept()
    _wait_for_the_end(connection)


if __name__ == "__main__":
    what, where, at, *rest = sys.argv[1:]
    numbers = [int(number) for number in rest]
    match what:
        case "serve":
            serve(where, int(at))
        case "send":
            send(where, int(at), *numbers)
        case "idle":
            idle(where, int(at))
        case "accept":
            accept(where, int(at))
        case _:
            sys.exit(f"transfer.py: no such command: {what}")
