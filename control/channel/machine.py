"""A control connection as a machine: bytes in, requests out; responses in, bytes out.

The connection's peer is one machine key, proved by the handshake; everything it asks for comes in
streams of one HTTP/2 connection. Responses obey the peer's flow control, a stream at a time: what
a slow stream cannot send waits in its own buffer and holds nobody else up.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from control.keys import ChallengePrivate
from control.noise import (
    EarlyPayload,
    RecordError,
    RecordOpener,
    RecordSealer,
    Responder,
    encode_early_payload,
)

if TYPE_CHECKING:
    from control.keys import Entropy, MachinePrivate, MachinePublic

__all__ = ["ChannelClosedError", "ChannelEvent", "ControlChannel", "RequestReceived", "StreamEnded"]

MAX_BODY_BYTES: Final = 1 << 20
MAX_STREAMS: Final = 128
_MAX_WAITING: Final = 4 * MAX_BODY_BYTES
"""Of all requests of a connection that are not complete."""
_WINDOW_BYTES: Final = 1 << 20


class ChannelClosedError(Exception):
    """The peer broke the protocol: close the connection. The text is for our log only."""


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """A whole request has come."""

    stream: int
    method: str
    path: str
    """With its query."""
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The peer gave a stream up, or the whole connection: nobody waits for the response."""

    stream: int


ChannelEvent = RequestReceived | StreamEnded


@dataclass(slots=True)
class _Incoming:
    method: str
    path: str
    body: bytearray = field(default_factory=bytearray)


@dataclass(slots=True)
class _Outgoing:
    pieces: deque[bytes] = field(default_factory=deque)
    buffered: int = 0
    is_complete: bool = False


class ControlChannel:
    """The responder's end. Made from an initiation; raises HandshakeError.

    After ChannelClosedError from `receive`, nothing but closing the connection is left.
    """

    def __init__(self, initiation: bytes, *, control: MachinePrivate, entropy: Entropy) -> None:
        handshake = Responder(initiation, control=control, entropy=entropy)
        self.machine: MachinePublic = handshake.machine
        """Who is at the other end."""
        self.version: int = handshake.version
        """Capability version that the handshake was made with."""
        self._opener = RecordOpener(handshake.keys.client_to_server)
        self._sealer = RecordSealer(handshake.keys.server_to_client)
        self._incoming: dict[int, _Incoming] = {}
        self._outgoing: dict[int, _Outgoing] = {}
        self._http = _new_http()
        self.is_proven = False
        """Whether the peer holds the machine key: an initiation may be a copy of somebody's."""
        challenge = ChallengePrivate.generate(entropy)
        early = encode_early_payload(EarlyPayload(challenge.public))
        # Together with the answer: it saves the node a round trip.
        self._ready = [handshake.response, self._sealer.seal(early)]

    def transmit(self) -> bytes:
        """Return what must be written now, in this order and completely."""
        plain = self._http.data_to_send()
        if plain:
            self._ready.append(self._sealer.seal(plain))
        data = b"".join(self._ready)
        self._ready.clear()
        return data

    def receive(self, data: bytes) -> list[ChannelEvent]:
        """Take bytes in any chunks; return what they completed. Raises ChannelClosedError."""
        try:
            plain = self._opener.receive(data)
            if not plain:
                return []
            received = self._http.receive_data(plain)
        except RecordError as error:
            raise ChannelClosedError(str(error)) from None
        except h2.exceptions.ProtocolError as error:
            raise ChannelClosedError(f"HTTP/2: {type(error).__name__}") from None
        events: list[ChannelEvent] = []
        for event in received:
            self._handle(event, events)
        return events

    def start(self, stream: int, status: int, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """Send a response's head; nothing happens where the peer has given the stream up."""
        if stream in self._outgoing:
            self._http.send_headers(stream, [(":status", str(status)), *headers])

    def send(self, stream: int, data: bytes) -> None:
        """Send a piece of a response's body, as far as the peer's window goes, the rest later."""
        outgoing = self._outgoing.get(stream)
        if outgoing is not None and data:
            outgoing.pieces.append(data)
            outgoing.buffered += len(data)
            self._pump(stream, outgoing)

    def finish(self, stream: int) -> None:
        """End a response once everything before has gone."""
        outgoing = self._outgoing.get(stream)
        if outgoing is not None:
            outgoing.is_complete = True
            self._pump(stream, outgoing)

    def abort(self, stream: int) -> None:
        """Break a response off, so that the peer cannot take it for complete."""
        if self._outgoing.pop(stream, None) is not None:
            self._http.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)

    def buffered(self, stream: int) -> int:
        """Return how many bytes of a response wait for the peer's window."""
        outgoing = self._outgoing.get(stream)
        return 0 if outgoing is None else outgoing.buffered

    def is_open(self, stream: int) -> bool:
        """Return whether the peer still waits for a stream's response."""
        return stream in self._outgoing

    def shut_down(self) -> None:
        """Tell the peer that no new requests are taken."""
        self._http.close_connection()

    def _handle(self, event: h2.events.Event, events: list[ChannelEvent]) -> None:
        match event:
            case h2.events.RequestReceived(stream_id=int(stream), headers=list(headers)):
                fields = {_text(name): _text(value) for name, value in headers}
                self._incoming[stream] = _Incoming(
                    fields.get(":method", ""), fields.get(":path", "")
                )
            case h2.events.DataReceived(stream_id=int(stream), data=bytes(data)):
                self._take_body(stream, data, event.flow_controlled_length or 0)
            case h2.events.StreamEnded(stream_id=int(stream)):
                request = self._incoming.pop(stream, None)
                if request is not None:
                    self._outgoing[stream] = _Outgoing()
                    events.append(
                        RequestReceived(stream, request.method, request.path, bytes(request.body))
                    )
            case h2.events.StreamReset(stream_id=int(stream)):
                self._incoming.pop(stream, None)
                if self._outgoing.pop(stream, None) is not None:
                    events.append(StreamEnded(stream))
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                # The first settings follow HTTP/2's preface, in records that were authenticated.
                self.is_proven = True
                for stream, outgoing in list(self._outgoing.items()):
                    self._pump(stream, outgoing)
            case h2.events.ConnectionTerminated():
                raise ChannelClosedError("HTTP/2: the peer said goodbye")
            case _:
                pass

    def _take_body(self, stream: int, data: bytes, credit: int) -> None:
        # The window is given back at once: bodies are bounded here, not by flow control.
        self._http.acknowledge_received_data(credit, stream)
        request = self._incoming.get(stream)
        if request is None:
            return
        waiting = sum(len(each.body) for each in self._incoming.values())
        if len(request.body) + len(data) > MAX_BODY_BYTES or waiting + len(data) > _MAX_WAITING:
            del self._incoming[stream]
            # Either of these may find the stream ended from the other side meanwhile.
            with suppress(h2.exceptions.StreamClosedError):
                self._http.send_headers(stream, [(":status", "413")], end_stream=True)
                self._http.reset_stream(stream, h2.errors.ErrorCodes.NO_ERROR)
            return
        request.body += data

    def _pump(self, stream: int, outgoing: _Outgoing) -> None:
        while outgoing.pieces:
            room = min(
                self._http.local_flow_control_window(stream), self._http.max_outbound_frame_size
            )
            if room <= 0:
                return
            piece = outgoing.pieces.popleft()
            if len(piece) > room:
                outgoing.pieces.appendleft(piece[room:])
                piece = piece[:room]
            outgoing.buffered -= len(piece)
            self._http.send_data(stream, piece)
        if outgoing.is_complete:
            self._http.end_stream(stream)
            del self._outgoing[stream]


def _new_http() -> h2.connection.H2Connection:
    http = h2.connection.H2Connection(
        h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
    )
    http.local_settings = h2.settings.Settings(
        client=False,
        initial_values={
            h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
            h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: 64 * 1024,
            h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW_BYTES,
        },
    )
    http.initiate_connection()
    http.increment_flow_control_window(8 * _WINDOW_BYTES)
    return http


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")
