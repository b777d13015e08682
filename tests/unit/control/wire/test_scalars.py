"""Times on the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from control.wire import ZERO_TIME, MapResponse, PeerChange, SshAction, WireError, format_time


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.123456789Z", datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)),
        ("2026-01-02T05:04:05+02:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ],
)
def test_rfc_3339_is_read_as_utc(text: str, moment: datetime) -> None:
    assert MapResponse.from_json({"ControlTime": text}).control_time == moment


def test_times_are_written_in_utc() -> None:
    east = timezone(timedelta(hours=2))
    assert format_time(datetime(2026, 1, 2, 5, 4, 5, tzinfo=east)) == "2026-01-02T03:04:05Z"


def test_zero_time_is_a_value_of_its_own() -> None:
    patch = PeerChange.from_json({"NodeID": 1, "KeyExpiry": "0001-01-01T00:00:00Z"})
    assert patch.key_expiry == ZERO_TIME
    assert patch.to_json()["KeyExpiry"] == "0001-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00+01:00", "2026-01-02", "", "2026-13-01T00:00:00Z"]
)
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(WireError, match="RFC 3339"):
        MapResponse.from_json({"ControlTime": text})


def test_durations_are_nanoseconds() -> None:
    action = SshAction(session_duration=timedelta(hours=12))
    assert action.to_json() == {"sessionDuration": 43_200_000_000_000}
    assert SshAction.from_json(action.to_json()) == action
