"""Real TCP connections, from inside a host: `python -m node.demo.probe ...`.

serve PORT...           accept and answer with this host's name
connect HOST PORT [S]   print `open NAME`, or why not; status 0 when open
hold HOST PORT          keep a connection busy; print `open`, then `cut SECONDS` (unix time)
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time

__all__ = ["main"]

_CONNECT_S = 3.0
_BEAT_S = 0.05
_SILENCE_S = 1.0


def main(arguments: list[str]) -> int:
    """Run one of the three. Returns the exit status."""
    match arguments:
        case ["serve", name, *ports]:
            asyncio.run(_serve(name, [int(port) for port in ports]))
            return 0
        case ["connect", host, port, *seconds]:
            return _connect(host, int(port), float(seconds[0]) if seconds else _CONNECT_S)
        case ["hold", host, port]:
            return _hold(host, int(port))
        case _:
            print(__doc__, file=sys.stderr)
            return 1


async def _serve(name: str, ports: list[int]) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(f"{name}\n".encode())
            while data := await reader.read(4096):
                writer.write(data)
                await writer.drain()
        except OSError:
            # The peer, or a policy, ended the connection: nothing to tidy up.
            pass
        finally:
            writer.close()

    for port in ports:
        await asyncio.start_server(answer, None, port)
    print("ready", flush=True)
    await asyncio.Event().wait()


def _connect(host: str, port: int, seconds: float) -> int:
    try:
        with socket.create_connection((host, port), seconds) as sock:
            print(f"open {sock.recv(100).decode().strip()}")
    except TimeoutError:
        print("no answer")
    except OSError as error:
        print(error.strerror or error)
    else:
        return 0
    return 1


def _hold(host: str, port: int) -> int:
    with socket.create_connection((host, port), _CONNECT_S) as sock:
        sock.settimeout(_SILENCE_S)
        sock.recv(100)
        print("open", flush=True)
        alive_at = time.time()
        try:
            while True:
                sock.sendall(b".")
                if not sock.recv(100):
                    break
                alive_at = time.time()
                time.sleep(_BEAT_S)
        except OSError:
            # Reset or silence: either way the last answer says when it ended.
            pass
    print(f"cut {alive_at:.3f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
