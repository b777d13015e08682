"""Which NATs count, and what they give next."""

from __future__ import annotations

import pytest

from node.paths.prediction import predict
from node.transport.endpoint import Endpoint


def seen(*ports: int, ip: str = "203.0.113.1") -> list[Endpoint]:
    return [Endpoint.from_text(ip, port) for port in ports]


@pytest.mark.parametrize(
    ("observed", "first", "last"),
    [((4000, 4001), 4002, 4009), ((4000, 4002, 4004), 4006, 4020), ((4000, 3999), 3998, 3991)],
)
def test_next_ports_of_a_row(observed: tuple[int, ...], first: int, last: int) -> None:
    found = [endpoint.port for endpoint in predict(seen(*observed))]
    assert (found[0], found[-1], len(found)) == (first, last, 8)


@pytest.mark.parametrize(
    "observed", [(), (4000,), (4000, 4000), (4000, 9000), (4000, 4001, 4003), (4000, 4300)]
)
def test_nothing_where_no_row_is_seen(observed: tuple[int, ...]) -> None:
    assert predict(seen(*observed)) == ()


def test_row_ends_with_the_ports() -> None:
    assert [e.port for e in predict(seen(65_532, 65_533))] == [65_534, 65_535]
    assert predict(seen(1026, 1025)) == tuple(seen(1024))


def test_two_public_addresses_are_no_row() -> None:
    assert predict([*seen(4000), *seen(4001, ip="203.0.113.2")]) == ()
