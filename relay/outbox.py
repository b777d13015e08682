"""What waits to be written to one connection, and what is thrown away when it cannot be.

While the connection takes bytes, packets pass straight through in the runs they arrived in. As
soon as it stops, packets wait in two bounded queues, path discovery apart from everything else,
and a full queue loses its oldest packet (relay reference 1.8). The sender never waits.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from relay.counters import Counters, DropReason, PacketKind

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_SIGNALS", "QUEUE_DEPTH", "Chunk", "Outbox"]

QUEUE_DEPTH = 32
"""Packets of each kind that wait for a connection that does not read."""

MAX_SIGNALS = 65_536
"""Signals (pongs, presence, departures) that may wait; past it the connection is beyond help."""

Chunk = bytes | bytearray | memoryview
"""A view may look into a buffer that is used again: see `Outbox.stream`."""


class Outbox:
    """Bytes for one connection. `on_dirty` is called once whenever there is something to take."""

    __slots__ = (
        "_batch",
        "_batch_bytes",
        "_batch_frames",
        "_batch_presence",
        "_counters",
        "_data",
        "_depth",
        "_dirty",
        "_disco",
        "_on_dirty",
        "_signals",
        "_writable",
        "is_overrun",
    )

    def __init__(
        self,
        counters: Counters,
        on_dirty: Callable[[], None],
        depth: int = QUEUE_DEPTH,
    ) -> None:
        self._counters = counters
        self._on_dirty = on_dirty
        self._depth = depth
        self._batch: list[Chunk] = []
        self._batch_bytes = 0
        self._batch_frames = 0
        self._batch_presence = 0
        self._signals: deque[bytes] = deque()
        self._disco: deque[tuple[bytes, float]] = deque()
        self._data: deque[tuple[bytes, float]] = deque()
        self._writable = True
        self._dirty = False
        self.is_overrun = False
        """Set when more signals piled up than a live connection could leave unread."""

    @property
    def can_stream(self) -> bool:
        """Whether whole runs may be handed over: nothing waits and the connection takes bytes."""
        return self._writable and not self._data and not self._disco

    @property
    def batch_bytes(self) -> int:
        """Size of what the next `take` returns at least."""
        return self._batch_bytes

    @property
    def is_blocked(self) -> bool:
        """Whether the connection does not take bytes now."""
        return not self._writable

    def push_signal(self, frame: bytes) -> None:
        """Queue a frame of the relay's own; it is never dropped and goes ahead of packets."""
        if self._writable:
            self._append(frame, 1)
        elif len(self._signals) < MAX_SIGNALS:
            self._signals.append(frame)
        else:
            self.is_overrun = True

    def push_presence(self, frame: bytes) -> None:
        """Queue a signal that tells a watcher who is here and who is not any more."""
        self._batch_presence += 1
        self.push_signal(frame)

    def stream(self, run: Chunk, packets: int) -> None:
        """Hand over consecutive whole packet frames. Only while `can_stream`.

        A view is good until whoever received it reads again, so it must be taken and written, or
        copied, before (`ServerSession.receive_within`).
        """
        self._counters.packets_sent += packets
        self._append(run, packets)

    def push_packet(self, frame: bytes, kind: PacketKind, now: float) -> None:
        """Hand over one packet frame, or queue it, dropping the oldest of its kind if full."""
        if self.can_stream:
            self.stream(frame, 1)
            return
        queue = self._disco if kind is PacketKind.DISCO else self._data
        if len(queue) >= self._depth:
            oldest, _since = queue.popleft()
            self._counters.drop(DropReason.QUEUE_HEAD, kind, len(oldest))
        queue.append((frame, now))

    def pause_writing(self) -> None:
        """Note that the connection takes no more bytes for now."""
        self._writable = False

    def resume_writing(self, now: float) -> None:
        """Note that the connection takes bytes again; what waited becomes takeable."""
        self._writable = True
        while self._signals:
            signal = self._signals.popleft()
            self._append(signal, 1)
        # One of each kind in turn, so a flood of data cannot starve path discovery.
        while self._disco or self._data:
            for queue in (self._disco, self._data):
                if queue:
                    frame, since = queue.popleft()
                    self._counters.queued_for(now - since)
                    self._counters.packets_sent += 1
                    self._append(frame, 1)

    def take(self) -> list[Chunk]:
        """Return everything to write now, in order."""
        batch = self._batch
        counters = self._counters
        counters.bytes_sent += self._batch_bytes
        if batch:
            counters.buffered_write_frames.note(self._batch_frames)
        if self._batch_presence:
            counters.mesh_update_batch_size.note(self._batch_presence)
        self._batch = []
        self._batch_bytes = self._batch_frames = self._batch_presence = 0
        self._dirty = False
        return batch

    def discard(self, reason: DropReason) -> None:
        """Count what is left as dropped: the connection is gone."""
        for queue, kind in ((self._disco, PacketKind.DISCO), (self._data, PacketKind.OTHER)):
            for frame, _since in queue:
                self._counters.drop(reason, kind, len(frame))
            queue.clear()
        self._signals.clear()
        self._batch.clear()
        self._batch_bytes = self._batch_frames = self._batch_presence = 0

    def _append(self, chunk: Chunk, frames: int) -> None:
        self._batch.append(chunk)
        self._batch_bytes += len(chunk)
        self._batch_frames += frames
        if not self._dirty:
            self._dirty = True
            self._on_dirty()
