"""The node's end of a control connection, as a machine: requests out, pieces of responses in.

Bytes from the transport go to `receive`, in any chunks; what `transmit` returns must be written in
order. Until the handshake is through, requests wait.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from control.noise import (
    EarlyPayload,
    EarlyPayloadDecoder,
    Initiator,
    NoiseError,
    RecordOpener,
    RecordSealer,
)
from node.session.upgrade import UpgradeError, UpgradeResponse, upgrade_request

if TYPE_CHECKING:
    from control.keys import Entropy, MachinePrivate, MachinePublic

__all__ = [
    "BodyReceived",
    "ChannelError",
    "ChannelEvent",
    "ClientChannel",
    "ResponseEnded",
    "ResponseFailed",
    "ResponseStarted",
]

MAX_BODY_BYTES: Final = 1 << 20
"""What control servers take (control reference 3)."""
_WINDOW_BYTES: Final = 4 << 20
_CONNECTION_WINDOW_BYTES: Final = 1 << 30


class ChannelError(Exception):
    """The connection is of no use any more; connect again."""


@dataclass(frozen=True, slots=True)
class ResponseStarted:
    """The head of a response has come."""

    stream: int
    status: int
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class BodyReceived:
    """A piece of a response's body has come."""

    stream: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ResponseEnded:
    """A response is complete."""

    stream: int


@dataclass(frozen=True, slots=True)
class ResponseFailed:
    """The server broke a response off."""

    stream: int


ChannelEvent = ResponseStarted | BodyReceived | ResponseEnded | ResponseFailed


class ClientChannel:
    """One connection to a control server, authenticated by both machine keys."""

    def __init__(
        self,
        *,
        host: str,
        version: int,
        machine: MachinePrivate,
        server: MachinePublic,
        entropy: Entropy,
    ) -> None:
        self._authority = host
        self._handshake = Initiator(
            version=version, machine=machine, server=server, entropy=entropy
        )
        self._upgrade: UpgradeResponse | None = UpgradeResponse()
        self._early = EarlyPayloadDecoder()
        self._opener: RecordOpener | None = None
        self._sealer: RecordSealer | None = None
        self._ready = [upgrade_request(host, self._handshake.initiation)]
        self._http = _new_http()
        self._unsent: dict[int, bytes] = {}

    @property
    def is_established(self) -> bool:
        """Whether the handshake is through."""
        return self._sealer is not None

    @property
    def early_payload(self) -> EarlyPayload | None:
        """What the server said before HTTP/2, if anything."""
        return self._early.payload

    def transmit(self) -> bytes:
        """Return what must be written now."""
        if self._sealer is not None:
            plain = self._http.data_to_send()
            if plain:
                self._ready.append(self._sealer.seal(plain))
        data = b"".join(self._ready)
        self._ready.clear()
        return data

    def receive(self, data: bytes) -> list[ChannelEvent]:
        """Take bytes; return what they completed. Raises ChannelError, after which it is over."""
        try:
            plain = self._open(data)
            received = self._http.receive_data(plain) if plain else []
        except (NoiseError, UpgradeError) as error:
            raise ChannelError(str(error)) from None
        except h2.exceptions.ProtocolError as error:
            raise ChannelError(f"HTTP/2: {type(error).__name__}") from None
        events: list[ChannelEvent] = []
        for event in received:
            self._handle(event, events)
        return events

    def request(self, method: str, path: str, body: bytes) -> int:
        """Send a request and return its stream; raises ChannelError when no more are taken."""
        if len(body) > MAX_BODY_BYTES:
            raise ChannelError(f"a request of {len(body)} bytes: no control server takes it")
        try:
            stream: int = self._http.get_next_available_stream_id()
            self._http.send_headers(
                stream,
                [
                    (":method", method),
                    (":scheme", "https"),
                    (":authority", self._authority),
                    (":path", path),
                    ("content-type", "application/json"),
                    ("content-length", str(len(body))),
                ],
                end_stream=not body,
            )
            if body:
                self._unsent[stream] = body
                self._send_body(stream)
        except h2.exceptions.ProtocolError as error:
            raise ChannelError(f"HTTP/2: {type(error).__name__}") from None
        return stream

    def cancel(self, stream: int) -> None:
        """Give up a response."""
        self._unsent.pop(stream, None)
        try:
            self._http.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
        except h2.exceptions.ProtocolError:
            return

    def _send_body(self, stream: int) -> None:
        """Send of a body what the server's window takes; the rest follows when it opens."""
        body, at = self._unsent.pop(stream), 0
        while at < len(body):
            room = min(
                self._http.local_flow_control_window(stream), self._http.max_outbound_frame_size
            )
            if room <= 0:
                self._unsent[stream] = body[at:]
                return
            piece = body[at : at + room]
            at += len(piece)
            self._http.send_data(stream, piece, end_stream=at == len(body))

    def _open(self, data: bytes) -> bytes:
        if self._upgrade is not None:
            rest = self._upgrade.receive(data)
            if rest is None:
                return b""
            self._upgrade, data = None, rest
        if self._opener is None:
            answer = self._handshake.receive(data)
            if answer is None:
                return b""
            keys, data = answer
            self._opener = RecordOpener(keys.server_to_client)
            self._sealer = RecordSealer(keys.client_to_server)
        return self._early.receive(self._opener.receive(data)) if data else b""

    def _handle(self, event: h2.events.Event, events: list[ChannelEvent]) -> None:
        match event:
            case h2.events.ResponseReceived(stream_id=int(stream), headers=list(headers)):
                fields = {str(name): str(value) for name, value in headers}
                status = fields.pop(":status", "")
                events.append(
                    ResponseStarted(stream, int(status) if status.isdigit() else 0, fields)
                )
            case h2.events.DataReceived(stream_id=int(stream), data=bytes(data)):
                self._http.acknowledge_received_data(event.flow_controlled_length or 0, stream)
                events.append(BodyReceived(stream, data))
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                for stream in list(self._unsent):
                    self._send_body(stream)
            case h2.events.StreamEnded(stream_id=int(stream)):
                # An answer to half a request: the server does not want the rest.
                self._unsent.pop(stream, None)
                events.append(ResponseEnded(stream))
            case h2.events.StreamReset(stream_id=int(stream)):
                self._unsent.pop(stream, None)
                events.append(ResponseFailed(stream))
            case h2.events.ConnectionTerminated():
                raise ChannelError("the server ends the connection")
            case _:
                pass


def _new_http() -> h2.connection.H2Connection:
    http = h2.connection.H2Connection(
        h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
    )
    http.local_settings = h2.settings.Settings(
        client=True,
        initial_values={
            h2.settings.SettingCodes.ENABLE_PUSH: 0,
            h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW_BYTES,
            h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: 64 * 1024,
        },
    )
    http.initiate_connection()
    http.increment_flow_control_window(_CONNECTION_WINDOW_BYTES)
    return http
