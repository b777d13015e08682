"""How a client's connection begins: from the first byte it sends to the relay's welcome.

    AWAIT_HTTP ──101──► AWAIT_SERVER_KEY ──ServerKey──► AWAIT_SERVER_INFO ──ServerInfo──► OPEN

A client that knows the server's key (from its certificate or an earlier visit) may use fast
start: request and ClientInfo leave together and no HTTP answer comes back. Source: relay
reference 1.3, 1.4 and 1.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from relay.errors import Fault, RemoteFaultError
from relay.frames import ClientInfoFrame, FrameType, ServerInfoFrame, ServerKey, decode, encode
from relay.handshake import ClientInfo, ServerInfo, greeting_box, open_server_info, seal_greeting
from relay.upgrade import encode_request, parse_response_head

if TYPE_CHECKING:
    from control.keys import Box, Entropy, MeshKey, NodePrivate
    from relay.outbox import Outbox

__all__ = ["ClientOptions", "Opening", "Phase"]


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How to introduce ourselves."""

    host: str = ""
    """Value of the Host header; empty leaves HTTP out, as on a WebSocket."""
    known_server_key: bytes | None = None
    """Enables fast start; the server must then prove to hold this key."""
    ideal_node: str = ""
    mesh_key: MeshKey | None = None
    is_prober: bool = False
    app_name: str = ""


class Phase(Enum):
    """Where a session stands."""

    AWAIT_HTTP = "await http"
    AWAIT_SERVER_KEY = "await server key"
    AWAIT_SERVER_INFO = "await server info"
    OPEN = "open"
    CLOSED = "closed"


class Opening:
    """One connection's beginning. What it has to say goes into the outbox as signals."""

    def __init__(
        self, private: NodePrivate, options: ClientOptions, outbox: Outbox, entropy: Entropy
    ) -> None:
        self._private = private
        self._options = options
        self._outbox = outbox
        self._entropy = entropy
        self._box: Box | None = None
        self._head = bytearray()
        self.server_key = b""
        """Who we talk to, as far as we were told; empty before."""
        self.phase = Phase.AWAIT_HTTP
        self._start()

    def _start(self) -> None:
        known = self._options.known_server_key
        if self._options.host:
            self._outbox.push_signal(
                encode_request(
                    self._options.host,
                    fast_start=known is not None,
                    ideal_node=self._options.ideal_node,
                )
            )
        if known is not None:
            self._introduce(known)
        if known is not None or not self._options.host:
            self.phase = Phase.AWAIT_SERVER_KEY

    def _introduce(self, server_key: bytes) -> None:
        mesh_key = self._options.mesh_key
        info = ClientInfo(
            mesh_key=mesh_key.to_secret_text() if mesh_key else "",
            is_prober=self._options.is_prober,
            app_name=self._options.app_name,
        )
        self._box = greeting_box(self._private, server_key)
        sealed = seal_greeting(info, self._box, self._entropy)
        self.server_key = server_key
        self._outbox.push_signal(encode(ClientInfoFrame(self._private.public.raw, sealed)))

    def receive_http(self, data: bytes) -> bytes:
        """Take bytes while AWAIT_HTTP; return what followed the head, which is DERP already.

        Raises RemoteFaultError(BAD_HTTP).
        """
        self._head += data
        head = parse_response_head(self._head)
        if head is None:
            return b""
        if head.status != 101:
            raise RemoteFaultError(
                Fault.BAD_HTTP, f"server answered {head.status} instead of switching to DERP"
            )
        self.phase = Phase.AWAIT_SERVER_KEY
        rest = bytes(self._head[head.length_bytes :])
        self._head.clear()
        return rest

    def receive_frame(self, kind: int, payload: bytes) -> ServerInfo | None:
        """Take a frame before the welcome; return the welcome when it is one.

        Raises RemoteFaultError for a server that does not begin with its key, or not the one that
        was promised, and for a welcome that does not open.
        """
        if self.phase is Phase.AWAIT_SERVER_KEY:
            self._receive_server_key(kind, payload)
            return None
        frame = decode(kind, payload) if kind == FrameType.SERVER_INFO else None
        if not isinstance(frame, ServerInfoFrame) or self._box is None:
            return None
        info = open_server_info(frame.sealed, self._box)
        self.phase = Phase.OPEN
        return info

    def _receive_server_key(self, kind: int, payload: bytes) -> None:
        frame = decode(kind, payload) if kind == FrameType.SERVER_KEY else None
        if not isinstance(frame, ServerKey):
            raise RemoteFaultError(Fault.UNEXPECTED_FRAME, f"type {kind:#04x} before ServerKey")
        known = self._options.known_server_key
        if known is None:
            self._introduce(frame.key)
        elif frame.key != known:
            # We sealed our greeting to the key we were promised: this server cannot be it.
            raise RemoteFaultError(Fault.BAD_BOX, "server key differs from the one promised")
        self.phase = Phase.AWAIT_SERVER_INFO
