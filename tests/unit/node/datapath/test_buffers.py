"""Buffers begin where in a page they should, and are as large as was asked."""

from __future__ import annotations

import numpy as np
import pytest

from node.datapath.buffers import Place, packet_buffer

PAGE = 4096


@pytest.mark.parametrize("place", list(Place))
@pytest.mark.parametrize("size", [1, 65536, 262145])
def test_buffer_begins_at_its_place(place: Place, size: int) -> None:
    buffer = packet_buffer(size, place)
    assert np.frombuffer(buffer, np.uint8).ctypes.data % PAGE == place.value
    assert len(buffer) == size
    assert not any(buffer)
    buffer[-1:] = b"x"
    assert buffer[size - 1] == ord("x")
