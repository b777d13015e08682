"""One accepted TCP (or TLS) connection: read the HTTP head, then be a DERP link or hand it on."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING, NamedTuple, cast

from relay.errors import Fault, RemoteFaultError
from relay.server.hub import EAGER_BYTES
from relay.session_server import FRONT_BYTES, AdmissionAsked, ClientLeft
from relay.upgrade import (
    RequestHead,
    Route,
    encode_switching,
    encode_upgrade_required,
    parse_request_head,
    route,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.frames import IpAddress
    from relay.outbox import Chunk
    from relay.server.hub import Hub
    from relay.session_server import ServerSession

__all__ = ["DerpLink", "Host", "HttpSniffer", "peer_of", "round_trip_of", "write_now"]

HIGH_WATER_BYTES = 128 * 1024
LOW_WATER_BYTES = 32 * 1024
HEAD_S = 10.0
KEEPALIVE_IDLE_S = 600
USER_TIMEOUT_MS = 15_000
TCP_INFO_RTT_AT = 68
TCP_INFO_BYTES = 72
"""Linux's struct tcp_info up to and with tcpi_rtt, microseconds in 32 bits."""
MAX_CHUNKS = 1024
"""What one writev takes (IOV_MAX of Linux)."""


def peer_of(transport: asyncio.BaseTransport) -> tuple[IpAddress, int]:
    """Return the address of the other end; IPv4 in IPv6 clothes comes out as IPv4."""
    peer = transport.get_extra_info("peername")
    if not isinstance(peer, tuple):
        return IPv4Address(0), 0
    # A link-local peer carries its scope behind a percent sign.
    address = ip_address(str(peer[0]).partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address, int(peer[1])


def tune(transport: asyncio.BaseTransport) -> None:
    """Set what keeps dead clients from lingering and batches from waiting."""
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)


def round_trip_of(transport: asyncio.BaseTransport) -> float | None:
    """Return the kernel's estimate of the round trip in milliseconds, None when it is gone."""
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0 or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return None
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
    return int.from_bytes(info[TCP_INFO_RTT_AT:TCP_INFO_BYTES], sys.byteorder) / 1000


def write_now(fileno: int, chunks: list[Chunk]) -> list[Chunk]:
    """Write what a socket takes at once; return what is left, from the middle of a chunk on."""
    try:
        sent = os.writev(fileno, chunks[:MAX_CHUNKS])
    except OSError:
        # Full or broken: the transport finds out which, and does what there is to be done.
        return chunks
    for number, chunk in enumerate(chunks):
        if sent < len(chunk):
            return [memoryview(chunk)[sent:], *chunks[number + 1 :]]
        sent -= len(chunk)
    return []


class DerpLink(asyncio.BufferedProtocol):
    """The DERP stream after the upgrade. Reads into the hub's shared buffer."""

    session: ServerSession

    def __init__(
        self,
        hub: Hub,
        transport: asyncio.Transport,
        *,
        is_ideal: bool,
        on_known: Callable[[], None],
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._hub = hub
        self._transport = transport
        self._on_known = on_known
        self._on_lost = on_lost
        self._reading_paused = False
        self._resume_timer: asyncio.TimerHandle | None = None
        has_tls = transport.get_extra_info("sslcontext") is not None
        self._socket = None if has_tls else transport.get_extra_info("socket")
        address, port = peer_of(transport)
        transport.set_write_buffer_limits(HIGH_WATER_BYTES, LOW_WATER_BYTES)
        self.session = hub.open_session(self, address, port, is_ideal=is_ideal)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  ours is always large
        """Lend the shared buffer for the read that happens next."""
        return self._hub.read_room

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read; a large chunk is a batch of its own and leaves before we return."""
        hub = self._hub
        if nbytes < EAGER_BYTES:
            self.feed(hub.read_room[:nbytes])
            return
        try:
            stop = FRONT_BYTES + nbytes
            wait_s = self.session.receive_within(hub.buffer, FRONT_BYTES, stop, hub.now())
            self._after_receiving(wait_s)
        finally:
            # What is forwarded still lies in the buffer, which the next read overwrites.
            hub.flush_all()

    def feed(self, data: bytes | memoryview) -> None:
        """Run the session on some bytes, then act on what it says."""
        self._after_receiving(self.session.receive(data, self._hub.now()))

    def _after_receiving(self, wait_s: float) -> None:
        self._act()
        if wait_s > 0:
            self._pause_for(wait_s)

    def _act(self) -> None:
        while (event := self.session.next_event()) is not None:
            match event:
                case AdmissionAsked():
                    self._pause()
                    self._hub.ask_admission(self, event)
                case ClientLeft(fault=Fault.WRITE_TIMEOUT):
                    # What the client did not read in time it will not read now.
                    self._transport.abort()
                case ClientLeft():
                    self._transport.close()

    def flush(self) -> None:
        """Write the outbox in one go and act on the session's events."""
        chunks = self.session.outbox.take()
        if chunks and not self._transport.is_closing():
            self._write(chunks)
        self._act()

    def _write(self, chunks: list[Chunk]) -> None:
        # Past the transport while it has nothing to send: it would copy what it cannot send at
        # once, or keep looking into a buffer that is about to be used again.
        if self._socket is not None and not self._transport.get_write_buffer_size():
            chunks = write_now(self._socket.fileno(), chunks)
        if chunks:
            self._transport.write(b"".join(chunks))

    def unsent_bytes(self) -> int:
        """Return how much the transport still has to write."""
        return self._transport.get_write_buffer_size()

    def round_trip_ms(self) -> float | None:
        """Return the kernel's estimate of the round trip."""
        return round_trip_of(self._transport)

    def resume(self) -> None:
        """Go on reading after the verdict or a rate pause."""
        self._on_known()
        self._resume_timer = None
        if self._reading_paused and self.session.wants_input and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()
        self._act()

    def _pause(self) -> None:
        if not self._reading_paused and not self._transport.is_closing():
            self._reading_paused = True
            self._transport.pause_reading()

    def _pause_for(self, seconds: float) -> None:
        self._pause()
        loop = asyncio.get_running_loop()
        self._resume_timer = loop.call_later(seconds, self.resume)

    def close(self) -> None:
        """Close after what was written is sent."""
        self.flush()
        self._transport.close()

    def pause_writing(self) -> None:
        """Note that the client does not read as fast as packets come."""
        self.session.pause_writing(self._hub.now())

    def resume_writing(self) -> None:
        """Note that the client caught up."""
        self.session.resume_writing(self._hub.now())

    def eof_received(self) -> bool:
        """Close our half too: a client that says goodbye reads no more."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  why does not matter
        """Leave the region."""
        if self._resume_timer is not None:
            self._resume_timer.cancel()
        self.session.disconnected()
        self._hub.forget(self)
        self._on_known()
        self._on_lost()


class Host(NamedTuple):
    """What a server that accepts connections itself hears of those that speak DERP.

    Those that do not are its own again.
    """

    on_known: Callable[[], None]
    """The client has said who it is, and may be here or not."""
    on_lost: Callable[[], None]
    """The connection is over; nothing else will say so."""


def _nothing() -> None:
    """Do nothing: who listens for nobody else has nothing to tell."""


class HttpSniffer(asyncio.Protocol):
    """Reads one request head and decides who gets the connection.

    The DERP upgrade must not go through an HTTP server: with fast start there is no response at
    all, and the client's first frames sit right behind the head. Everything else is replayed to
    the ordinary HTTP protocol that `fallback` makes.
    """

    def __init__(
        self,
        hub: Hub,
        fallback: Callable[[], asyncio.Protocol],
        on_done: Callable[[], None] = lambda: None,
        *,
        takes_derp: bool = True,
        host: Host | None = None,
    ) -> None:
        self._hub = hub
        self._host = host
        self._fallback = fallback
        self._on_done = on_done
        self._takes_derp = takes_derp
        self._head = bytearray()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give the client a while to say what it wants."""
        self._transport = cast("asyncio.Transport", transport)
        tune(transport)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(HEAD_S, self._transport.abort)
        secured = transport.get_extra_info("ssl_object")
        if secured is not None:
            versions = self._hub.counters.tls_versions
            versions[secured.version()] = versions.get(secured.version(), 0) + 1
        self._look(self._transport)

    def data_received(self, data: bytes) -> None:
        """Collect the head; on its end hand the connection over."""
        self._head += data
        # After a TLS handshake the first bytes may be here before we are told of the transport.
        if self._transport is not None:
            self._look(self._transport)

    def _look(self, transport: asyncio.Transport) -> None:
        try:
            head = parse_request_head(self._head)
        except RemoteFaultError:
            # Not a head that we can read, but perhaps one that a full HTTP parser can answer.
            self._hand_to_http(transport)
            return
        if head is None:
            return
        match route(head) if self._takes_derp else Route.HTTP:
            case Route.DERP:
                self._hand_to_derp(transport, head)
            case Route.HTTP:
                self._hand_to_http(transport)
            case Route.UPGRADE_REQUIRED:
                transport.write(encode_upgrade_required())
                transport.close()

    def _hand_to_derp(self, transport: asyncio.Transport, head: RequestHead) -> None:
        self._cancel_timer()
        rest = bytes(self._head[head.length_bytes :])
        if not head.has_fast_start:
            transport.write(encode_switching(self._hub.identity.public))
        on_known, on_lost = self._on_done, _nothing
        if self._host is not None:
            on_known, on_lost = self._host.on_known, self._host.on_lost
        link = DerpLink(
            self._hub, transport, is_ideal=head.is_ideal, on_known=on_known, on_lost=on_lost
        )
        transport.set_protocol(link)
        if rest:
            link.feed(rest)

    def _hand_to_http(self, transport: asyncio.Transport) -> None:
        self._cancel_timer()
        self._on_done()
        protocol = self._fallback()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(bytes(self._head))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  why does not matter
        """Forget a client that left before it said what it wanted."""
        self._cancel_timer()
        self._on_done()
        if self._host is not None:
            self._host.on_lost()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
