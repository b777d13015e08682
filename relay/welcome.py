"""The server's half of the greeting: who it is, and what a client proved about itself.

A client's first frame names its node key and holds a box that only the owner of that key could
have sealed for this server (relay reference 1.6, 1.7). What is read here is all that a server
will ever know of a client.
"""

from __future__ import annotations

from dataclasses import dataclass

from control.keys import Box, Entropy, KeyTextError, MeshKey, NodePrivate
from relay.errors import Fault, RemoteFaultError, UsageError
from relay.fastpath import header_at
from relay.frames import (
    HEADER_BYTES,
    MAX_CLIENT_INFO_BYTES,
    ClientInfoFrame,
    FrameType,
    PresenceFlag,
    decode,
)
from relay.handshake import ClientInfo, ServerInfo, greeting_box, open_client_info
from relay.ratelimit import RateLimit

__all__ = ["WRITE_TIMEOUT_S", "Greeting", "ServerIdentity", "read_greeting"]

WRITE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """What all sessions of one server share."""

    private: NodePrivate
    entropy: Entropy
    mesh_key: MeshKey | None = None
    info: ServerInfo = ServerInfo()  # noqa: RUF009  frozen
    write_timeout_s: float = WRITE_TIMEOUT_S
    rate: RateLimit = RateLimit(0, 0)  # noqa: RUF009  frozen

    @property
    def public(self) -> bytes:
        """The server's public key, 32 raw bytes."""
        return self.private.public.raw


@dataclass(frozen=True, slots=True)
class Greeting:
    """A client that proved its key."""

    key: bytes
    """The node key, 32 raw bytes."""
    info: ClientInfo
    box: Box
    """What the answer is sealed with."""
    is_mesh_peer: bool
    """Whether it proved to be another server of the region."""

    def flags(self, *, is_ideal: bool) -> PresenceFlag:
        """Return what watchers are told of this client."""
        flags = PresenceFlag.NONE
        if self.is_mesh_peer:
            flags |= PresenceFlag.MESH_PEER
        if self.info.is_prober:
            flags |= PresenceFlag.PROBER
        if not is_ideal:
            flags |= PresenceFlag.NOT_IDEAL
        return flags or PresenceFlag.REGULAR


def read_greeting(
    stream: bytearray, end: int, identity: ServerIdentity
) -> tuple[Greeting, int] | None:
    """Read what a client says first, in `stream[:end]`.

    Returns the greeting and where it ends, None while it is incomplete. Raises RemoteFaultError
    for any other frame, for a key that is none or our own, for a box that does not open and for a
    mesh key that is not this region's.
    """
    if end < HEADER_BYTES:
        return None
    kind, length = header_at(stream, 0)
    if kind != FrameType.CLIENT_INFO:
        raise RemoteFaultError(Fault.UNEXPECTED_FRAME, f"type {kind:#04x} before ClientInfo")
    if length > MAX_CLIENT_INFO_BYTES:
        raise RemoteFaultError(Fault.FRAME_TOO_LONG, f"ClientInfo announces {length} bytes")
    stop = HEADER_BYTES + length
    if end < stop:
        return None
    frame = decode(kind, bytes(stream[HEADER_BYTES:stop]))
    if not isinstance(frame, ClientInfoFrame):
        raise UsageError("ClientInfo decodes to another frame")
    return _open_greeting(frame, identity), stop


def _open_greeting(frame: ClientInfoFrame, identity: ServerIdentity) -> Greeting:
    if not any(frame.key):
        raise RemoteFaultError(Fault.BAD_BOX, "a node key of zeros means no key")
    box = greeting_box(identity.private, frame.key)
    info = open_client_info(frame.sealed, box)
    if frame.key == identity.public:
        raise RemoteFaultError(Fault.SELF_CONNECT, "the client presents this server's key")
    is_mesh_peer = _is_of_region(info, identity.mesh_key)
    if info.mesh_key and not is_mesh_peer:
        raise RemoteFaultError(Fault.BAD_MESH_KEY, "mesh key differs from this region's")
    return Greeting(frame.key, info, box, is_mesh_peer)


def _is_of_region(info: ClientInfo, ours: MeshKey | None) -> bool:
    if ours is None or not info.mesh_key:
        return False
    try:
        return MeshKey.from_secret_text(info.mesh_key) == ours
    except KeyTextError:
        return False
