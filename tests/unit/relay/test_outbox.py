"""What one connection's outbox counts of its writes."""

from __future__ import annotations

from relay.counters import Counters, Histogram
from relay.outbox import Outbox


def outbox() -> tuple[Outbox, Counters]:
    counters = Counters()
    return Outbox(counters, lambda: None), counters


def within(found: Histogram) -> dict[str, int]:
    """Return what each bucket adds to the one below."""
    below, added = 0, {}
    for bound, count in found.buckets():
        if count > below:
            added[bound] = count - below
        below = count
    return added


def test_sizes_are_counted_by_the_bound_that_they_stay_within() -> None:
    found = Histogram()
    for size in (1, 2, 3, 5, 6, 1000, 1001):
        found.note(size)
    assert within(found) == {"1": 1, "2": 1, "5": 2, "10": 1, "1000": 1, "+Inf": 1}
    assert found.buckets()[-1] == ("+Inf", 7)
    assert found.sum == 2018


def test_frames_of_a_write_are_counted_and_an_empty_write_is_none() -> None:
    box, counters = outbox()
    box.take()
    box.push_signal(b"signal")
    box.stream(b"a run of seven", 7)
    box.take()
    box.push_signal(b"signal")
    box.take()
    assert within(counters.buffered_write_frames) == {"1": 1, "10": 1}
    assert counters.buffered_write_frames.sum == 9
    assert within(counters.mesh_update_batch_size) == {}


def test_what_waited_for_a_blocked_client_counts_when_it_leaves() -> None:
    box, counters = outbox()
    box.pause_writing()
    for _ in range(3):
        box.push_presence(b"somebody came")
    box.resume_writing(0)
    box.take()
    assert within(counters.buffered_write_frames) == {"5": 1}
    assert within(counters.mesh_update_batch_size) == {"5": 1}


def test_what_is_thrown_away_is_not_counted_as_written() -> None:
    box, counters = outbox()
    box.push_presence(b"somebody came")
    box.discard(next(reason for reason, _kind in counters.packets_dropped))
    box.take()
    assert within(counters.buffered_write_frames) == within(counters.mesh_update_batch_size) == {}
