"""Endpoints in text and as socket addresses."""

from __future__ import annotations

import pytest

from node.transport.endpoint import Endpoint, InvalidEndpointError


@pytest.mark.parametrize("text", ["192.0.2.1:51820", "[2001:db8::1]:1"])
def test_text_round_trips(text: str) -> None:
    assert str(Endpoint.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "192.0.2.1", "192.0.2.1:0", "192.0.2.1:65536", "::1:5", "host:5", "[::1]:x"]
)
def test_bad_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidEndpointError):
        Endpoint.parse(text)


def test_mapped_address_is_ipv4() -> None:
    assert Endpoint.from_sockaddr(("::ffff:192.0.2.1", 5, 0, 0)) == Endpoint.parse("192.0.2.1:5")


def test_link_local_keeps_its_interface() -> None:
    endpoint = Endpoint.from_sockaddr(("fe80::1%7", 5, 0, 7))
    assert endpoint.address == ("fe80::1", 5, 0, 7)


def test_neighbours_in_a_64_share_a_handshake_budget() -> None:
    one, two = Endpoint.parse("[2001:db8::1]:1"), Endpoint.parse("[2001:db8::2]:2")
    assert one.rate_source() == two.rate_source()
    assert one.cookie_source() != two.cookie_source()
