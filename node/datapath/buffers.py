"""Buffers that packets pass through on their way, each at its own place within a memory page.

In them a packet stands in a row `LEAD | packet, padded | TAG`, to be sealed and opened in place.

Large buffers all begin at the same place in a page. A processor that tells loads from earlier
stores by the low twelve bits of their addresses then takes one buffer's for another's and waits:
copying a burst of 64 KiB took 32 microseconds instead of 12.
"""

from __future__ import annotations

from enum import Enum

import numpy as np

LEAD = 16
"""Bytes before a packet in its row: room for the transport message's header."""

TAG = 16
"""Bytes behind it, for the tag."""

_PAGE = 4096


class Place(Enum):
    """Where in a page a buffer begins. Those that are copied between are far from each other."""

    RECEIVED = 64
    JOINED = 1024
    READ = 2048
    SPLIT = 3072


def packet_buffer(size: int, place: Place) -> memoryview:
    """Return `size` zero bytes that can be written."""
    whole = memoryview(bytearray(size + 2 * _PAGE))
    begin = -np.frombuffer(whole, np.uint8).ctypes.data % _PAGE + place.value
    return whole[begin : begin + size]
