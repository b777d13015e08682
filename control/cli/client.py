"""A small, synchronous client of the REST API, over the Unix socket or the network."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote, urlencode, urlsplit

from control.config import load_config

if TYPE_CHECKING:
    import argparse
    from types import TracebackType

__all__ = ["ApiClient", "ApiRefusedError", "ApiUnreachableError"]

_TIMEOUT_S: Final = 30.0
_ADDRESS_VARIABLE: Final = "POSTERN_CONTROL_CLI_ADDRESS"
_KEY_VARIABLE: Final = "POSTERN_CONTROL_CLI_API_KEY"


class ApiUnreachableError(Exception):
    """No server answered."""


class ApiRefusedError(Exception):
    """The server said no."""

    def __init__(self, status: int, detail: str, problems: tuple[str, ...]) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.problems = problems


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class ApiClient:
    """Connects when first asked something."""

    def __init__(self, connection: http.client.HTTPConnection, where: str, api_key: str) -> None:
        self._connection = connection
        self._where = where
        self._api_key = api_key

    @classmethod
    def of_options(cls, options: argparse.Namespace) -> Self:
        """Return a client of the server that flags, environment or configuration name."""
        if options.socket is not None:
            return cls(_UnixConnection(options.socket, _TIMEOUT_S), str(options.socket), "")
        config = load_config(options.config)
        cli = config.cli
        timeout_s = cli.timeout.total_seconds()
        address = options.address or os.environ.get(_ADDRESS_VARIABLE, "") or cli.address
        if not address:
            path = config.unix_socket or Path("control.sock")
            return cls(_UnixConnection(path, timeout_s), str(path), "")
        key = os.environ.get(_KEY_VARIABLE, "") or cli.api_key.get_secret_value()
        parts = urlsplit(address if "://" in address else f"https://{address}")
        host = parts.hostname or ""
        if parts.scheme == "http":
            plain = http.client.HTTPConnection(host, parts.port, timeout=timeout_s)
            return cls(plain, address, key)
        context = ssl.create_default_context()
        if cli.insecure:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        secure = http.client.HTTPSConnection(host, parts.port, timeout=timeout_s, context=context)
        return cls(secure, address, key)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def get(self, *path: object, **query: object) -> Any:
        """Return what a GET answers."""
        return self.call("GET", path, query=query)

    def post(self, *path: object, **body: object) -> Any:
        """Return what a POST answers."""
        return self.call("POST", path, body=body)

    def post_query(self, *path: object, **query: object) -> Any:
        """Return what a POST without a body answers."""
        return self.call("POST", path, query=query)

    def put(self, *path: object, **body: object) -> Any:
        """Return what a PUT answers."""
        return self.call("PUT", path, body=body)

    def delete(self, *path: object, **query: object) -> Any:
        """Return what a DELETE answers."""
        return self.call("DELETE", path, query=query)

    def call(
        self,
        method: str,
        path: tuple[object, ...],
        *,
        query: dict[str, object] | None = None,
        body: dict[str, object] | None = None,
    ) -> Any:
        """Send one request below `/api/v1`.

        Raises ApiUnreachableError, or ApiRefusedError with the server's own words.
        """
        target = "/api/v1/" + "/".join(quote(str(part), safe="") for part in path)
        wanted = {name: value for name, value in (query or {}).items() if value not in {None, ""}}
        if wanted:
            target += "?" + urlencode(wanted)
        headers = {"Content-Type": "application/json"}
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key}"
        data = None if body is None else json.dumps(body).encode()
        try:
            self._connection.request(method, target, data, headers)
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise ApiUnreachableError(
                f"no control server answers at {self._where} ({error}); start one with "
                "`postern control serve`, or name another with --socket or --address"
            ) from None
        return _read(answer.status, text)


def _read(status: int, text: bytes) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        value = {"detail": text.decode(errors="replace")[:200]}
    if 200 <= status < 300:
        return value
    detail = value.get("detail", "refused") if isinstance(value, dict) else "refused"
    problems = tuple(value.get("problems", ())) if isinstance(value, dict) else ()
    raise ApiRefusedError(status, detail, problems)
