"""Driver of the control session: sockets, TLS and tasks around the machines of this package.

One `ControlClient` is one connection. Who uses it connects again when it raises ControlLostError,
after a wait that grows (`Backoff`).
"""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

import aiohttp

from control.wire import (
    MapRequest,
    MapResponse,
    RegisterResponse,
    ServerKeys,
    WireError,
    capability,
)
from control.wire.framing import KEEP_ALIVE_JSON, MapFrameDecoder, dump_json
from node.proxy.connect import connect
from node.proxy.connector import TunnelConnector
from node.proxy.settings import DIRECT, ProxySettings
from node.session.channel import (
    BodyReceived,
    ChannelError,
    ClientChannel,
    ResponseEnded,
    ResponseFailed,
    ResponseStarted,
)
from node.session.login import LoginFailed, NeedsBrowser, NewKey, Registered, logout_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from control.keys import Entropy, MachinePrivate, MachinePublic, NodePublic
    from control.wire import RegisterRequest
    from node.session.login import Login

__all__ = [
    "Backoff",
    "ControlClient",
    "ControlLostError",
    "ControlRefusedError",
    "ControlUrl",
    "fetch_server_key",
]

_CONNECT_S: Final = 10.0
_ANSWER_S: Final = 30.0
_SILENCE_S: Final = 120.0
_MAX_KEY_BYTES: Final = 64 * 1024
_MAX_RESPONSE_BYTES: Final = 1 << 20
_MAX_SHOWN: Final = 200


class ControlLostError(Exception):
    """The connection ended or never came about; try again later."""


class ControlRefusedError(Exception):
    """The server answered with an HTTP status that is no success."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"the control server answered {status}: {text[:_MAX_SHOWN]}")
        self.status = status


@dataclass(frozen=True, slots=True)
class ControlUrl:
    """Where a control server is."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URL such as `https://control.example.com`; raises ValueError for others."""
        parts = urlsplit(text)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"control server {text!r}: a URL with http or https is needed")
        default = 443 if parts.scheme == "https" else 80
        return cls(parts.scheme, parts.hostname, parts.port or default)

    @property
    def authority(self) -> str:
        """Host and port as they stand in requests."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.scheme == "https" else 80
        return host if self.port == default else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


@dataclass(slots=True)
class Backoff:
    """Waits between attempts: doubled up to a limit, each shortened at random."""

    random: Callable[[], float]
    """Gives a number from 0 to below 1."""
    first_s: float = 0.5
    most_s: float = 30.0
    _failures: int = 0

    def next_s(self) -> float:
        """Return how long to wait after one more failure."""
        limit: float = min(self.most_s, self.first_s * 2.0 ** min(self._failures, 20))
        self._failures += 1
        return limit * (0.5 + self.random() / 2)

    def reset(self) -> None:
        """Begin again with short waits."""
        self._failures = 0


async def fetch_server_key(
    url: ControlUrl, *, tls: ssl.SSLContext | None = None, proxies: ProxySettings = DIRECT
) -> MachinePublic:
    """Ask for the control key, over TLS that is verified where the URL says https.

    Raises ControlLostError or ControlRefusedError.
    """
    version = capability.SPOKEN_BY_OUR_NODE
    timeout = aiohttp.ClientTimeout(total=_CONNECT_S)
    try:
        proxy = proxies.choose(url.scheme, (url.host,), url.port)
        tunnels = TunnelConnector(proxy, tls or ssl.create_default_context()) if proxy else None
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=tunnels) as session,
            session.get(f"{url}/key?v={version}", ssl=tls or True, allow_redirects=False) as answer,
        ):
            body = await answer.content.read(_MAX_KEY_BYTES)
            if answer.status != 200:
                raise ControlRefusedError(answer.status, body.decode(errors="replace"))
            key = ServerKeys.from_json(json.loads(body)).public_key
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ControlLostError(_why_lost(url, error)) from None
    except ValueError as error:
        raise ControlLostError(f"{url}: no control key in the answer: {error}") from None
    if key.is_zero:
        raise ControlLostError(f"{url}: the control server is too old for this node")
    return key


def _why_lost(url: ControlUrl, error: Exception) -> str:
    """Say why a server was not reached, and what to do where that is for us to do."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        error = error.certificate_error
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"{url}: its certificate is not trusted ({error.verify_message}); a server with an "
            "authority of its own needs `postern up --trust CA.pem`"
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    return f"{url}: {str(error) or 'timed out'}"


class _Response:
    """What has come of one response."""

    def __init__(self) -> None:
        self.status = 0
        self.pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.error: Exception | None = None
        self.started = asyncio.Event()

    def fail(self, error: Exception) -> None:
        self.error = error
        self.started.set()
        self.pieces.put_nowait(None)

    async def piece(self, timeout_s: float) -> bytes | None:
        """Return the next piece of the body, or None at its end; raises what ended it early."""
        try:
            async with asyncio.timeout(timeout_s):
                data = await self.pieces.get()
        except TimeoutError:
            raise ControlLostError(f"the control server was silent for {timeout_s:.0f}s") from None
        if data is None and self.error is not None:
            raise self.error
        return data


class ControlClient(asyncio.Protocol):
    """One connection to a control server. Make it with `connect`."""

    def __init__(self, channel: ClientChannel) -> None:
        self._channel = channel
        self._transport: asyncio.Transport | None = None
        self._responses: dict[int, _Response] = {}
        self.established: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the handshake is through, failed when it cannot be."""
        self._lost: Exception | None = None

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        url: ControlUrl,
        *,
        machine: MachinePrivate,
        server: MachinePublic,
        entropy: Entropy,
        tls: ssl.SSLContext | None = None,
        proxies: ProxySettings = DIRECT,
    ) -> AsyncIterator[Self]:
        """Connect and shake hands; the connection lasts as long as the block.

        Raises ControlLostError.
        """
        channel = ClientChannel(
            host=url.authority,
            version=capability.SPOKEN_BY_OUR_NODE,
            machine=machine,
            server=server,
            entropy=entropy,
        )
        context = (tls or ssl.create_default_context()) if url.scheme == "https" else None
        client: Self | None = None
        try:
            async with asyncio.timeout(_CONNECT_S):
                proxy = proxies.choose(url.scheme, (url.host,), url.port)
                _, client = await connect(
                    proxy, lambda: cls(channel), url.host, url.port, ssl=context
                )
                await client.established
        except (OSError, TimeoutError) as error:
            if client is not None:
                client.close()
            raise ControlLostError(_why_lost(url, error)) from None
        try:
            yield client
        finally:
            client.close()

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the upgrade."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._flush()

    def data_received(self, data: bytes) -> None:
        """Feed the machine."""
        try:
            events = self._channel.receive(data)
        except ChannelError as error:
            self._fail(ControlLostError(str(error)))
            self.close()
            return
        if self._channel.is_established and not self.established.done():
            self.established.set_result(None)
        for event in events:
            response = self._responses.get(event.stream)
            if response is None:
                continue
            match event:
                case ResponseStarted(status=status):
                    response.status = status
                    response.started.set()
                case BodyReceived(data=piece):
                    response.pieces.put_nowait(piece)
                case ResponseEnded():
                    response.pieces.put_nowait(None)
                case ResponseFailed():
                    response.fail(ControlLostError("the control server broke a response off"))
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail whatever still waits."""
        self._fail(ControlLostError(str(exc) if exc else "the control server hung up"))

    async def log_in(self, login: Login, on_url: Callable[[str], None]) -> Registered | LoginFailed:
        """Register, showing a URL where a person is needed; waits as long as the person does."""
        while True:
            outcome = login.answer(await self.register(login.request))
            match outcome:
                case Registered() | LoginFailed():
                    return outcome
                case NeedsBrowser(url):
                    on_url(url)
                case NewKey():
                    pass

    async def register(self, request: RegisterRequest) -> RegisterResponse:
        """Send one register request. One that follows up may take minutes."""
        timeout_s = 3600.0 if request.followup else _ANSWER_S
        body = await self.fetch("/machine/register", request.to_json(), timeout_s)
        try:
            return RegisterResponse.from_json(json.loads(body))
        except ValueError as error:
            raise ControlLostError(f"no register response: {error}") from None

    async def log_out(self, node_key: NodePublic) -> None:
        """End the node key's life."""
        await self.register(logout_request(node_key))

    async def report(self, request: MapRequest) -> None:
        """Tell the server of endpoints, the disco key and the host, and ask for nothing."""
        await self.fetch("/machine/map", request.to_json(), _ANSWER_S)

    async def poll(self, request: MapRequest) -> AsyncIterator[MapResponse]:
        """Yield the messages of a map stream, keepalives left out, until the server ends it.

        Raises ControlLostError, also after 120 s without a message, and ControlRefusedError.
        """
        is_compressed = request.compress == "zstd"
        decoder = MapFrameDecoder(is_compressed=is_compressed)
        stream, response = self._send("/machine/map", request.to_json())
        try:
            await self._require_success(response, _SILENCE_S)
            while (data := await response.piece(_SILENCE_S)) is not None:
                for document in decoder.receive(data):
                    if document != KEEP_ALIVE_JSON:
                        yield MapResponse.from_json(json.loads(document))
        except (WireError, ValueError) as error:
            raise ControlLostError(f"map stream: {error}") from None
        finally:
            self._forget(stream)

    async def fetch(self, path: str, value: object, timeout_s: float = _ANSWER_S) -> bytes:
        """Send one request and return its body; raises ControlLostError or ControlRefusedError."""
        stream, response = self._send(path, value)
        try:
            await self._require_success(response, timeout_s)
            return await self._body(response)
        finally:
            self._forget(stream)

    async def _require_success(self, response: _Response, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await response.started.wait()
        except TimeoutError:
            raise ControlLostError("the control server does not answer") from None
        if response.error is not None:
            raise response.error
        if not 200 <= response.status < 300:
            text = (await self._body(response)).decode(errors="replace")
            raise ControlRefusedError(response.status, text)

    async def _body(self, response: _Response) -> bytes:
        body = bytearray()
        while (data := await response.piece(_ANSWER_S)) is not None:
            body += data
            if len(body) > _MAX_RESPONSE_BYTES:
                raise ControlLostError("the response is too long")
        return bytes(body)

    def _send(self, path: str, value: object) -> tuple[int, _Response]:
        if self._lost is not None:
            raise self._lost
        try:
            stream = self._channel.request("POST", path, dump_json(value))
        except ChannelError as error:
            raise ControlLostError(str(error)) from None
        response = self._responses[stream] = _Response()
        self._flush()
        return stream, response

    def _forget(self, stream: int) -> None:
        del self._responses[stream]
        if self._lost is None:
            self._channel.cancel(stream)
            self._flush()

    def _flush(self) -> None:
        data = self._channel.transmit()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _fail(self, error: ControlLostError) -> None:
        if self._lost is not None:
            return
        self._lost = error
        if not self.established.done():
            self.established.set_exception(ConnectionError(str(error)))
            # Who connects may have given up waiting; that is no reason for a complaint.
            self.established.exception()
        for response in self._responses.values():
            response.fail(error)
