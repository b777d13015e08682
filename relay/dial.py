"""Connecting to a relay: the asyncio driver of `relay.session_client`.

One call dials, does TLS, notices the server's key in its certificate chain for a fast start, and
returns when the relay has welcomed us. Whoever calls decides about retries and which relay.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import os
import ssl
import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from cryptography import x509
from cryptography.x509.oid import NameOID

from relay.errors import RelayError
from relay.session_client import ClientEvent, ClientOptions, ClientSession, Disconnected, Phase
from relay.upgrade import META_CERT_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from control.keys import NodePrivate

__all__ = ["Connect", "DialError", "RelayAddress", "RelayClient", "dial", "open_connection"]

DIAL_S = 10.0
HIGH_WATER_BYTES = 128 * 1024
LOW_WATER_BYTES = 32 * 1024
PIN_PREFIX = "sha256-raw:"


_P = TypeVar("_P", bound=asyncio.Protocol)


class Connect(Protocol):
    """A way to a relay other than the plain one, as through a proxy."""

    async def __call__(
        self,
        factory: Callable[[], _P],
        host: str,
        port: int,
        *,
        ssl: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> tuple[asyncio.Transport, _P]:
        """Connect as asyncio's `create_connection` does; raises OSError."""
        ...


class DialError(RelayError):
    """The relay could not be reached or did not welcome us; the message says which and why."""

    def __init__(self, message: str, server_key: bytes = b"") -> None:
        super().__init__(message)
        self.server_key = server_key
        """Who answered, as far as we got to know."""


@dataclass(frozen=True, slots=True)
class RelayAddress:
    """Where a relay listens, and how it proves to be itself."""

    host: str
    port: int
    server_name: str = ""
    """Name in the certificate and in the Host header; empty means `host`."""
    certificate_pin: str = ""
    """`sha256-raw:` and 64 hex digits: accept exactly this certificate."""
    tls: ssl.SSLContext | None = None
    """None dials without TLS."""
    connect: Connect | None = field(default=None, compare=False)
    """None connects without detour."""

    @property
    def name(self) -> str:
        """What to ask for in TLS and HTTP."""
        return self.server_name or self.host


class RelayClient(asyncio.Protocol):
    """One live connection. `on_event` gets everything after the welcome, in order."""

    session: ClientSession

    def __init__(
        self,
        private: NodePrivate,
        options: ClientOptions,
        on_event: Callable[[ClientEvent], None],
        *,
        pin: str = "",
    ) -> None:
        """`pin` is the only certificate to speak to, as in `RelayAddress`."""
        self._loop = asyncio.get_running_loop()
        self._pin = pin
        self._private = private
        self._options = options
        self._on_event = on_event
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._flush_scheduled = False
        self.welcomed: asyncio.Future[None] = self._loop.create_future()
        self.closed: asyncio.Future[str] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Introduce ourselves, the fast way if the certificate told the server's key."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(HIGH_WATER_BYTES, LOW_WATER_BYTES)
        options = self._options
        if options.known_server_key is None:
            key = server_key_in(transport.get_extra_info("ssl_object"))
            options = replace(options, known_server_key=key)
        self.session = ClientSession(
            self._private,
            options,
            entropy=os.urandom,
            now=self._loop.time(),
            on_dirty=self._schedule_flush,
        )
        if self._pin and not is_pinned(transport.get_extra_info("ssl_object"), self._pin):
            # Before the first byte: what introduces us may hold the secret of a region.
            self._end("certificate differs from the pinned one")
            return
        self._flush()
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Run the session and pass on what it says."""
        self.session.receive(data, self._loop.time())
        self._pump()

    def _pump(self) -> None:
        while (event := self.session.next_event()) is not None:
            if not self.welcomed.done() and self.session.phase is Phase.OPEN:
                self.welcomed.set_result(None)
            self._on_event(event)
            if isinstance(event, Disconnected):
                self._end(event.detail)

    def send_packet(self, destination: bytes, packet: bytes) -> bool:
        """Send one packet; False when the relay's advertised rate forbids it now."""
        return self.session.send_packet(destination, packet, self._loop.time())

    def send_burst(self, destination: bytes, burst: bytes, segment: int) -> int:
        """Send packets of `segment` bytes, the last perhaps shorter.

        Returns how many the relay's advertised rate forbids now.
        """
        return self.session.send_burst(destination, burst, segment, self._loop.time())

    def _schedule_flush(self) -> None:
        # The first flush comes from connection_made, before the session is even assigned.
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        if self._transport is None or self._transport.is_closing():
            return
        chunks = self.session.outbox.take()
        if chunks:
            self._transport.write(chunks[0] if len(chunks) == 1 else b"".join(chunks))

    def pause_writing(self) -> None:
        """Note that the relay does not read as fast as we send."""
        self.session.pause_writing()

    def resume_writing(self) -> None:
        """Note that the relay caught up."""
        self.session.resume_writing(self._loop.time())

    def _arm(self) -> None:
        due = self.session.deadline()
        self._timer = None if due is None else self._loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self.session.on_deadline(self._loop.time())
        self._pump()
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on that the connection is gone."""
        self.session.disconnected(str(exc) if exc else "connection closed by the relay")
        self._pump()

    def close(self) -> None:
        """Leave."""
        self.session.disconnected("closed by us")
        self._pump()

    def _end(self, detail: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.close()
        if not self.welcomed.done():
            self.welcomed.set_exception(DialError(f"the relay did not welcome us: {detail}"))
            # Who dialled may have given up waiting; that is no reason for a complaint.
            self.welcomed.exception()
        if not self.closed.done():
            self.closed.set_result(detail)


async def open_connection(address: RelayAddress, factory: Callable[[], _P]) -> _P:
    """Open a connection to a relay, TLS included, and nothing more. Raises OSError."""
    connect: Any = address.connect or asyncio.get_running_loop().create_connection
    try:
        _transport, protocol = await connect(
            factory,
            address.host,
            address.port,
            ssl=address.tls,
            server_hostname=address.name if address.tls else None,
        )
    except ValueError as error:
        # Python's word for names that no resolver could be asked for; they come from a map.
        raise OSError(f"{address.host!r} is no host name: {error}") from error
    return cast("_P", protocol)


async def dial(
    address: RelayAddress,
    private: NodePrivate,
    on_event: Callable[[ClientEvent], None],
    options: ClientOptions | None = None,
) -> RelayClient:
    """Connect and wait for the welcome, ten seconds in all. Raises DialError."""
    options = replace(options or ClientOptions(), host=address.name)
    client: RelayClient | None = None
    try:
        async with asyncio.timeout(DIAL_S):
            # One address after the other: asyncio's race between them leaks the winner's socket
            # when it is cancelled, and whoever knows several addresses dials them in turn anyway.
            client = await open_connection(
                address,
                lambda: RelayClient(private, options, on_event, pin=address.certificate_pin),
            )
            await client.welcomed
    except (OSError, ssl.SSLError, DialError) as error:
        answered_by = b""
        if client is not None:
            client.close()
            with contextlib.suppress(DialError):
                await client.welcomed
            answered_by = client.session.server_key
        detail = str(error) or "timed out"
        raise DialError(f"relay {address.host}:{address.port}: {detail}", answered_by) from error
    except asyncio.CancelledError:
        # Nobody waits for the welcome any more, so nobody else would close the connection.
        if client is not None:
            client.close()
        raise
    return client


def is_pinned(tls: ssl.SSLObject | None, pin: str) -> bool:
    """Whether a peer showed the very certificate of a pin, `sha256-raw:` and 64 hex digits."""
    leaf = tls.getpeercert(binary_form=True) if tls else None
    found = hashlib.sha256(leaf or b"").hexdigest()
    return leaf is not None and hmac.compare_digest(found, pin.removeprefix(PIN_PREFIX).lower())


def server_key_in(tls: ssl.SSLObject | None) -> bytes | None:
    """Return the DERP key that a peer's certificate chain tells, None if it tells none."""
    for der in _peer_chain(tls):
        try:
            # The name we look for is longer than X.509 allows, which is no news to us.
            with warnings.catch_warnings(action="ignore", category=UserWarning):
                certificate = x509.load_der_x509_certificate(der)
                names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        except ValueError:
            continue
        for name in names:
            text = str(name.value)
            if text.startswith(META_CERT_PREFIX) and len(text) == len(META_CERT_PREFIX) + 64:
                with contextlib.suppress(ValueError):
                    return bytes.fromhex(text.removeprefix(META_CERT_PREFIX))
    return None


def _peer_chain(tls: ssl.SSLObject | None) -> list[bytes]:
    """Return what the peer sent, in DER. Public from Python 3.13 on; there before, unnamed."""
    public = getattr(tls, "get_unverified_chain", None)
    if public is not None:
        return list(public())
    inner = getattr(tls, "_sslobj", None)
    chain = inner.get_unverified_chain() if inner is not None else None
    return [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in chain or ()]
