"""Durations in Go's notation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.model.durations import DurationError, format_duration, parse_duration

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("-0", 0),
        ("20h", 72_000 * SECOND),
        ("1h30m", 5_400 * SECOND),
        ("45s", 45 * SECOND),
        ("1.5s", 3 * SECOND // 2),
        (".5m", 30 * SECOND),
        ("1.s", SECOND),
        ("-1m", -60 * SECOND),
        ("+1m", 60 * SECOND),
        ("100ms", SECOND // 10),
        ("7us", 7_000),
        ("7\u00b5s", 7_000),
        ("7ns", 7),
    ],
)
def test_reads(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'time: invalid duration ""'),
        ("abc", 'time: invalid duration "abc"'),
        ("-", 'time: invalid duration "-"'),
        (".s", 'time: invalid duration ".s"'),
        ("5", 'time: missing unit in duration "5"'),
        ("5d", 'time: unknown unit "d" in duration "5d"'),
        ("1h 5m", 'time: unknown unit "h " in duration "1h 5m"'),
        ("9999999999h", 'time: invalid duration "9999999999h"'),
        ("1" * 1000 + "h", f'time: invalid duration "{"1" * 1000}h"'),
    ],
)
def test_refuses_in_the_words_of_the_service(text: str, message: str) -> None:
    with pytest.raises(DurationError) as refused:
        parse_duration(text)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (200 * 3_600 * SECOND, "200h0m0s"),
        (168 * 3_600 * SECOND + SECOND, "168h0m1s"),
        (-60 * SECOND, "-1m0s"),
        (90 * SECOND, "1m30s"),
        (3 * SECOND // 2, "1.5s"),
        (1_500_000, "1.5ms"),
        (2_000, "2\u00b5s"),
        (3, "3ns"),
    ],
)
def test_spells_as_the_service_does(nanoseconds: int, text: str) -> None:
    assert format_duration(nanoseconds) == text


@given(st.integers(-(1 << 62), 1 << 62))
def test_reads_what_it_spells(nanoseconds: int) -> None:
    assert parse_duration(format_duration(nanoseconds)) == nanoseconds


@given(st.text(alphabet="0123456789.+-hmsnu\u00b5 x", max_size=20))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    try:
        assert isinstance(parse_duration(text), int)
    except DurationError as refused:
        assert text in str(refused)
