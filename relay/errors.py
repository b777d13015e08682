"""What the relay raises: one root, and a closed set of faults for what a peer did wrong."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Fault", "RelayError", "RemoteFaultError", "UsageError"]


class RelayError(Exception):
    """Root of everything the relay raises."""


class UsageError(RelayError):
    """Our own side used a machine in a way that its state does not allow."""


class Fault(StrEnum):
    """Why a connection cannot go on. Values are stable: they label metrics and log lines."""

    FRAME_TOO_LONG = "frame_too_long"
    BAD_LENGTH = "bad_length"
    BAD_MAGIC = "bad_magic"
    BAD_BOX = "bad_box"
    BAD_JSON = "bad_json"
    BAD_MESH_KEY = "bad_mesh_key"
    UNEXPECTED_FRAME = "unexpected_frame"
    NOT_PERMITTED = "not_permitted"
    BAD_HTTP = "bad_http"
    REFUSED = "refused"
    HANDSHAKE_TIMEOUT = "handshake_timeout"
    READ_TIMEOUT = "read_timeout"
    WRITE_TIMEOUT = "write_timeout"
    BACKLOG = "backlog"
    CLOSED_BY_MESH = "closed_by_mesh"
    SELF_CONNECT = "self_connect"


class RemoteFaultError(RelayError):
    """The other side broke the protocol; the connection that raised it must be closed."""

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(f"{fault.value}: {detail}")
        self.fault = fault
        self.detail = detail
