"""Endpoints: what parses, and what peers may be told."""

from __future__ import annotations

import pytest

from control.wire import parse_addr_port, usable_endpoints


@pytest.mark.parametrize("text", ["192.0.2.1:41641", "[2001:db8::1]:41641", "0.0.0.0:0"])
def test_text_round_trips(text: str) -> None:
    assert str(parse_addr_port(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":1",
        "192.0.2.1",
        "192.0.2.1:",
        "192.0.2.1:65536",
        "192.0.2.1:-1",
        "192.0.2.1:1 ",
        "[192.0.2.1]:1",
        "2001:db8::1:1",
        "[fe80::1%eth0]:1",
        "host:1",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_addr_port(text)


def test_only_what_a_peer_could_reach_is_kept_in_order_and_once() -> None:
    kept = usable_endpoints(
        (
            "192.0.2.1:1",
            "192.0.2.1:0",
            "0.0.0.0:1",
            "127.0.0.1:1",
            "224.0.0.1:1",
            "[fe80::1]:1",
            "[fe80::1%eth0]:1",
            "junk",
            "[2001:db8::1]:2",
            "192.0.2.1:1",
        )
    )
    assert [str(endpoint) for endpoint in kept] == ["192.0.2.1:1", "[2001:db8::1]:2"]


def test_number_is_bounded() -> None:
    assert len(usable_endpoints(tuple(f"192.0.2.1:{port}" for port in range(1, 200)))) == 50
