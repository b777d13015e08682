"""Datagrams from a relay, laid out in a buffer as a socket's burst would be.

The packet path opens, judges and delivers equal datagrams of one session all at once; one by one
they cost it several times as much.
"""

from __future__ import annotations

from node.agent.ways import RelayWay

__all__ = ["RelayBurst"]


class RelayBurst:
    """Datagrams of one peer by one relay: all of `segment` bytes, the last perhaps shorter."""

    __slots__ = ("_buffer", "_is_ended", "segment", "size", "way")

    def __init__(self, buffer: memoryview) -> None:
        """Collect in `buffer`, which is the caller's again once what is in it was taken."""
        self._buffer = buffer
        self.clear()

    def clear(self) -> None:
        """Begin with the next burst."""
        self.way: RelayWay | None = None
        self.size = 0
        self.segment = 0
        self._is_ended = False

    def add(self, node_key: bytes, region: int, datagram: bytes) -> bool:
        """Add a datagram; False when what is there has to be taken before it.

        An empty one, and one that is larger than the buffer, is no message and left out.
        """
        length, way = len(datagram), self.way
        if not 0 < length <= len(self._buffer):
            return True
        if way is None:
            self.way, self.segment = RelayWay(node_key, region), length
        elif (
            self._is_ended
            or length > self.segment
            or self.size + length > len(self._buffer)
            or way.node_key != node_key
            or way.region != region
        ):
            return False
        self._is_ended = length < self.segment
        self._buffer[self.size : self.size + length] = datagram
        self.size += length
        return True
