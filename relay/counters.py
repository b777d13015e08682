"""What a relay counts. Plain integers, bumped in the forwarding path and read by the exporter."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["RTT_BOUNDS_MS", "Counters", "DropReason", "Histogram", "PacketKind"]


class PacketKind(StrEnum):
    """All that a relay can tell about a payload."""

    DISCO = "disco"
    OTHER = "other"


class DropReason(StrEnum):
    """Why a packet was not delivered (relay reference 1.14)."""

    UNKNOWN_DEST = "unknown_dest"
    UNKNOWN_DEST_ON_FWD = "unknown_dest_on_fwd"
    GONE_DISCONNECTED = "gone_disconnected"
    QUEUE_HEAD = "queue_head"
    QUEUE_TAIL = "queue_tail"
    WRITE_ERROR = "write_error"
    DUP_CLIENT = "dup_client"


RTT_BOUNDS_MS = (10, 20, 50, 100, 150, 250, 500)
_BOUNDS = (*map(str, RTT_BOUNDS_MS), "+Inf")


BATCH_BOUNDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class Histogram:
    """How often a size was seen, by the bound that it stays within."""

    __slots__ = ("_counts", "sum")

    def __init__(self) -> None:
        self._counts = [0] * (len(BATCH_BOUNDS) + 1)
        self.sum = 0

    def note(self, size: int) -> None:
        """Count one size."""
        self._counts[bisect_left(BATCH_BOUNDS, size)] += 1
        self.sum += size

    def buckets(self) -> list[tuple[str, int]]:
        """Return each bound with how many sizes stayed within it, the last one being `+Inf`."""
        counted, running = [], 0
        for bound, count in zip((*map(str, BATCH_BOUNDS), "+Inf"), self._counts, strict=True):
            running += count
            counted.append((bound, running))
        return counted


def _drops() -> dict[tuple[DropReason, PacketKind], int]:
    return {(reason, kind): 0 for reason in DropReason for kind in PacketKind}


@dataclass(slots=True)
class Counters:
    """Totals since the start, one instance a server."""

    accepts: int = 0
    accepts_refused: int = 0
    websocket_accepts: int = 0
    clients_refused: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    packets_received: int = 0
    packets_received_disco: int = 0
    packets_sent: int = 0
    packets_forwarded_in: int = 0
    packets_forwarded_out: int = 0
    unknown_frames: int = 0
    home_moves_in: int = 0
    home_moves_out: int = 0
    got_ping: int = 0
    sent_pong: int = 0
    peer_gone_disconnected_frames: int = 0
    peer_gone_not_here_frames: int = 0
    multiforwarder_created: int = 0
    multiforwarder_deleted: int = 0
    dup_client_conns: int = 0
    write_timeouts: int = 0
    queue_seconds_average: float = 0.0
    buffered_write_frames: Histogram = field(default_factory=Histogram)
    """Frames that left in one write to one client."""
    mesh_update_batch_size: Histogram = field(default_factory=Histogram)
    """Arrivals and departures that left in one write to one watcher."""
    packets_dropped: dict[tuple[DropReason, PacketKind], int] = field(default_factory=_drops)
    bytes_dropped: dict[tuple[DropReason, PacketKind], int] = field(default_factory=_drops)
    faults: dict[str, int] = field(default_factory=dict)
    tls_versions: dict[str, int] = field(default_factory=dict)
    """Connections by what they negotiated, as `TLSv1.3`."""
    round_trips: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_BOUNDS, 0))
    """Samples of the round trip to clients, by the bound in ms that they stay within."""

    def drop(self, reason: DropReason, kind: PacketKind, size_bytes: int) -> None:
        """Note one packet that will not be delivered."""
        self.packets_dropped[reason, kind] += 1
        self.bytes_dropped[reason, kind] += size_bytes

    def note_round_trip(self, milliseconds: float) -> None:
        """Count one sample of one client's round trip."""
        for bound in RTT_BOUNDS_MS:
            if milliseconds <= bound:
                self.round_trips[str(bound)] += 1
                return
        self.round_trips["+Inf"] += 1

    def queued_for(self, seconds: float) -> None:
        """Fold one packet's time in a queue into the exponential average (weight 0.1)."""
        self.queue_seconds_average += 0.1 * (seconds - self.queue_seconds_average)
