"""A router's count of seconds against our clock."""

from __future__ import annotations

import pytest

from node.paths.portmap.epoch import EpochWatch


@pytest.mark.parametrize(
    ("later_s", "epoch_s", "is_lost"),
    [
        (60, 1060, False),
        (60, 1058, False),
        (3600, 1000 + 3600 - 200, False),
        (60, 999, True),
        (60, 3, True),
        (60, 1000, True),
        (3600, 1000 + 3600 - 300, True),
        (60, 1200, True),
        (0, 999, False),
    ],
)
def test_step_that_drift_does_not_explain_means_that_mappings_are_lost(
    later_s: float, epoch_s: int, is_lost: bool
) -> None:
    watch = EpochWatch()
    assert not watch.note(1000, 50.0)
    assert watch.note(epoch_s, 50.0 + later_s) is is_lost
    # Whatever it was, the new count is what the next one is compared with.
    assert not watch.note(epoch_s + 10, 60.0 + later_s)
