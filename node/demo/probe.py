"""Real TCP connections and DNS questions, from inside a host: `python -m node.demo.probe ...`.

serve NAME PORT...      web server that answers with a name; echoes what is no request
mirror PORT...          web server that answers with the caller's address
connect HOST PORT [S]   ask a web server; print `open NAME`, or why not; status 0 when open
survey S HOST:PORT...   print `HOST PORT ` and what `connect` prints, for all at once
hold HOST PORT          keep a connection busy; print `open`, then `cut SECONDS` (unix time)
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time

import dns.message
import dns.query
import dns.rcode

from node.dns.resolv_conf import SERVICE_ADDRESS

__all__ = ["main"]

_REQUEST = b"GET / HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n"
_CONNECT_S = 3.0
_BEAT_S = 0.005
_SILENCE_S = 1.0


def main(arguments: list[str]) -> int:
    """Run one of them. Returns the exit status."""
    match arguments:
        case ["serve", name, *ports]:
            asyncio.run(_serve(name, [int(port) for port in ports]))
            return 0
        case ["mirror", *ports]:
            asyncio.run(_serve("", [int(port) for port in ports]))
            return 0
        case ["connect", host, port, *seconds]:
            return _connect(host, int(port), float(seconds[0]) if seconds else _CONNECT_S)
        case ["survey", seconds, *targets]:
            asyncio.run(_survey(float(seconds), targets))
            return 0
        case ["resolve", name, kind]:
            return _resolve(name, kind)
        case ["hold", host, port]:
            return _hold(host, int(port))
        case _:
            sys.stderr.write(f"{__doc__}\n")
            return 1


def _page(text: str) -> bytes:
    body = f"{text}\n".encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body


def _body(answer: bytes) -> str:
    return answer.rpartition(b"\r\n\r\n")[2].decode().strip()


async def _serve(name: str, ports: list[int]) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(4096):
                if data.startswith(b"GET "):
                    caller = str(writer.get_extra_info("peername")[0]).removeprefix("::ffff:")
                    writer.write(_page(name or caller))
                    break
                writer.write(data)
                await writer.drain()
        except OSError:
            # The peer, or a policy, ended the connection: nothing to tidy up.
            pass
        finally:
            writer.close()

    for port in ports:
        await asyncio.start_server(answer, None, port)
    _say("ready")
    await asyncio.Event().wait()


def _connect(host: str, port: int, seconds: float) -> int:
    try:
        with socket.create_connection((host, port), seconds) as sock:
            sock.sendall(_REQUEST)
            answer = b""
            while data := sock.recv(4096):
                answer += data
            _say(f"open {_body(answer)}")
    except TimeoutError:
        _say("no answer")
    except OSError as error:
        _say(error.strerror or str(error))
    else:
        return 0
    return 1


async def _survey(seconds: float, targets: list[str]) -> None:
    async def look(target: str) -> None:
        host, _, port = target.rpartition(":")
        try:
            async with asyncio.timeout(seconds):
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(_REQUEST)
                said = f"open {_body(await reader.read())}"
                writer.close()
        except TimeoutError:
            said = "no answer"
        except OSError as error:
            said = error.strerror or str(error)
        _say(f"{host} {port} {said}")

    await asyncio.gather(*map(look, targets))


def _resolve(name: str, kind: str) -> int:
    query = dns.message.make_query(name, kind)
    answer = dns.query.udp(query, SERVICE_ADDRESS, _CONNECT_S)
    found = [record.to_text() for rrset in answer.answer for record in rrset]
    _say(" ".join(found) or dns.rcode.to_text(answer.rcode()))
    return 0


def _hold(host: str, port: int) -> int:
    with socket.create_connection((host, port), _CONNECT_S) as sock:
        sock.settimeout(_SILENCE_S)
        sock.sendall(b".")
        sock.recv(100)
        _say("open")
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
    _say(f"cut {alive_at:.3f}")
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
