"""Questions and verdicts, and the gate in front of both."""

from __future__ import annotations

import json
from ipaddress import IPv4Address

import pytest

from relay.admission import (
    AcceptGate,
    AdmitEveryone,
    AdmitKeys,
    VerdictCache,
    encode_question,
    parse_verdict,
)
from relay.handshake import ClientInfo
from relay.ratelimit import RateLimit
from relay.session_server import AdmissionAsked

ASKED = AdmissionAsked(b"\x01" * 32, IPv4Address("192.0.2.7"), ClientInfo())
NO_LIMIT = RateLimit(0, 0)


def test_question_is_what_a_verify_endpoint_expects() -> None:
    assert json.loads(encode_question(ASKED)) == {
        "NodePublic": "nodekey:" + "01" * 32,
        "Source": "192.0.2.7",
    }


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b'{"Allow":true}', True),
        (200, b'{"Allow":false}', False),
        (500, b'{"Allow":true}', None),
        (200, b'{"Allow":"true"}', None),
        (200, b'{"Allow":1}', None),
        (200, b"[]", None),
        (200, b"", None),
        (200, b'{"Allow":true}' + b" " * 5000, None),
    ],
)
def test_only_a_plain_yes_is_a_yes(status: int, body: bytes, expected: bool | None) -> None:
    assert parse_verdict(status, body) is expected


async def test_key_list_admits_its_keys_only() -> None:
    assert await AdmitKeys([ASKED.key]).admits(ASKED)
    assert not await AdmitKeys([bytes(32)]).admits(ASKED)


async def test_open_relay_admits() -> None:
    assert await AdmitEveryone().admits(ASKED)


def test_verdicts_are_kept_for_a_key_at_an_address() -> None:
    cache = VerdictCache(yes_s=10, no_s=2)
    cache.note(ASKED, 0, verdict=True)
    elsewhere = AdmissionAsked(ASKED.key, IPv4Address("192.0.2.8"), ASKED.info)
    assert cache.look_up(elsewhere, 0) is None
    assert [cache.look_up(ASKED, now) for now in (0, 9.9, 10)] == [True, True, None]


def test_verdict_is_replaced_by_the_next_one() -> None:
    cache = VerdictCache(yes_s=10, no_s=2)
    cache.note(ASKED, 0, verdict=True)
    cache.note(ASKED, 1, verdict=False)
    assert [cache.look_up(ASKED, now) for now in (1, 2.9, 3)] == [False, False, None]


def test_cache_forgets_the_oldest_verdict_when_full() -> None:
    cache = VerdictCache(yes_s=10, no_s=2, size=2)
    asked = [AdmissionAsked(bytes([n]) * 32, ASKED.address, ASKED.info) for n in range(3)]
    for one in asked:
        cache.note(one, 0, verdict=True)
    assert [cache.look_up(one, 0) for one in asked] == [None, True, True]


def test_gate_bounds_all_that_are_pending() -> None:
    gate = AcceptGate(NO_LIMIT, max_pending=2, now=0)
    assert [gate.admit(source, 0) for source in ("a", "b", "c")] == [True, True, False]
    gate.release("a")
    assert gate.admit("c", 0)


def test_gate_bounds_one_source_without_locking_out_others() -> None:
    gate = AcceptGate(NO_LIMIT, max_pending_per_source=1, now=0)
    assert gate.admit("a", 0)
    assert not gate.admit("a", 0)
    assert gate.admit("b", 0)


def test_gate_bounds_the_rate() -> None:
    gate = AcceptGate(RateLimit(per_second=1, burst=1), now=0)
    assert [gate.admit("a", now) for now in (0, 0.5, 1.5)] == [True, False, True]


def test_released_sources_are_forgotten() -> None:
    gate = AcceptGate(NO_LIMIT, now=0)
    gate.admit("a", 0)
    gate.release("a")
    assert gate.pending == 0
    assert not gate._pending
