"""Asks the local API of a running interface, for the command line."""

from __future__ import annotations

import http.client
import json
import os
import socket
from pathlib import Path
from typing import Any

DIRECTORY_VARIABLE = "POSTERN_RUN_DIR"
_DEFAULT_DIRECTORY = "/run/postern"
_TIMEOUT_S = 10.0


class LocalApiError(Exception):
    """The interface does not answer, or refused; the message says which."""


def run_directory() -> Path:
    """Return where the sockets are."""
    return Path(os.environ.get(DIRECTORY_VARIABLE, _DEFAULT_DIRECTORY))


def socket_path(name: str) -> Path:
    """Return the socket of an interface."""
    return run_directory() / f"{name}.sock"


def running_interfaces() -> list[str]:
    """Return the interfaces that have a socket, sorted."""
    return sorted(path.stem for path in run_directory().glob("*.sock"))


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(name: str, method: str, path: str, body: str | None = None) -> bytes:
    """Return the answer's body. Raises LocalApiError."""
    return ask_at(socket_path(name), name, method, path, body)


def ask_at(
    where: Path,
    name: str,
    method: str,
    path: str,
    body: str | None = None,
    *,
    timeout_s: float = _TIMEOUT_S,
) -> bytes:
    """Ask the API at a socket; `name` is what messages call it. Raises LocalApiError."""
    connection = _UnixConnection(where, timeout_s)
    try:
        connection.request(method, path, body=body)
        response = connection.getresponse()
        answer = response.read()
    except PermissionError as error:
        raise LocalApiError(
            f"{name}: is not yours; ask as its owner, with sudo for root"
        ) from error
    except TimeoutError as error:
        raise LocalApiError(f"{name}: runs, and does not answer in {timeout_s:g} s") from error
    except OSError as error:
        raise LocalApiError(f"{name}: not running ({error.strerror or error})") from error
    finally:
        connection.close()
    if response.status >= http.client.BAD_REQUEST:
        raise LocalApiError(f"{name}: {_reason(answer, response.status)}")
    return answer


def ask_json(name: str, method: str, path: str, body: str | None = None) -> Any:
    """Return the answer's JSON value. Raises LocalApiError."""
    return json.loads(ask(name, method, path, body))


def _reason(answer: bytes, status: int) -> str:
    try:
        value = json.loads(answer)
        return str(value["error"] if "error" in value else value["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the daemon answered with HTTP status {status}"
