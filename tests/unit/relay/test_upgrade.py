"""The HTTP exchange in front of a DERP stream."""

from __future__ import annotations

import pytest

from relay.errors import Fault, RemoteFaultError
from relay.upgrade import (
    MAX_HEAD_BYTES,
    RequestHead,
    Route,
    encode_request,
    encode_switching,
    encode_upgrade_required,
    parse_request_head,
    parse_response_head,
    route,
)
from tests.support.vectors import load

HTTP = load("relay", "derp")["http"]
SERVER_KEY = bytes.fromhex(load("relay", "derp")["server_public"])


def head_of(text: str) -> RequestHead:
    head = parse_request_head(text.encode())
    assert head is not None
    return head


def test_switching_is_the_vector_byte_for_byte() -> None:
    assert encode_switching(SERVER_KEY).decode() == HTTP["response_101"]


def test_recorded_upgrade_goes_to_derp() -> None:
    head = head_of(HTTP["upgrade_request"])
    assert route(head) is Route.DERP
    assert not head.has_fast_start


def test_recorded_fast_start_is_noticed() -> None:
    head = head_of(HTTP["fast_start_request"])
    assert route(head) is Route.DERP
    assert head.has_fast_start


def test_head_says_where_the_stream_begins() -> None:
    text = HTTP["fast_start_request"].encode()
    head = parse_request_head(text + b"\x02\0\0")
    assert head is not None
    assert head.length_bytes == len(text)


def test_own_request_is_understood() -> None:
    head = head_of(encode_request("relay.example", fast_start=True, ideal_node="1a").decode())
    assert route(head) is Route.DERP
    assert (head.has_fast_start, head.is_ideal) == (True, False)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("Upgrade: WebSocket", Route.DERP),
        ("Upgrade: websocket\r\nSec-WebSocket-Protocol: derp", Route.HTTP),
        ("Upgrade: websocket\r\nSec-WebSocket-Protocol: x, derp", Route.HTTP),
        ("Upgrade: dErP", Route.DERP),
        ("Accept: */*", Route.UPGRADE_REQUIRED),
    ],
)
def test_routes_on_the_derp_path(lines: str, expected: Route) -> None:
    assert route(head_of(f"GET /derp HTTP/1.1\r\nHost: x\r\n{lines}\r\n\r\n")) is expected


def test_other_paths_are_plain_http() -> None:
    assert route(head_of("GET /derp/probe HTTP/1.1\r\nUpgrade: DERP\r\n\r\n")) is Route.HTTP


def test_query_does_not_hide_the_path() -> None:
    assert route(head_of("GET /derp?x=1 HTTP/1.1\r\nUpgrade: DERP\r\n\r\n")) is Route.DERP


@pytest.mark.parametrize(
    "text",
    [
        "nonsense\r\n\r\n",
        "GET /derp SPDY/3\r\n\r\n",
        "GET /derp HTTP/1.1\r\nno colon\r\n\r\n",
        "GET /derp HTTP/1.1\r\n folded: x\r\n\r\n",
        "x" * MAX_HEAD_BYTES,
    ],
)
def test_what_is_not_http_is_a_fault(text: str) -> None:
    with pytest.raises(RemoteFaultError) as caught:
        parse_request_head(text.encode())
    assert caught.value.fault is Fault.BAD_HTTP


def test_incomplete_head_asks_for_more() -> None:
    assert parse_request_head(b"GET /derp HTTP/1.1\r\n") is None
    assert parse_response_head(b"HTTP/1.1 101 Switching") is None


def test_refusal_tells_what_to_do() -> None:
    head = parse_response_head(encode_upgrade_required())
    assert head is not None
    assert (head.status, head.headers["upgrade"]) == (426, "DERP")


@pytest.mark.parametrize(
    "text", ["HTTP/1.1 ok\r\n\r\n", "ICY 200\r\n\r\n", "HTTP/1.1 9999 x\r\n\r\n"]
)
def test_unreadable_status_line_is_a_fault(text: str) -> None:
    with pytest.raises(RemoteFaultError):
        parse_response_head(text.encode())
