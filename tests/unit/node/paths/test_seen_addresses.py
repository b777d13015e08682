"""Whose address is whose."""

from __future__ import annotations

from node.paths.seen_addresses import ADDRESSES_PER_PEER, SeenAddresses
from node.transport.endpoint import Endpoint

A, B = b"a" * 32, b"b" * 32


def at(port: int) -> Endpoint:
    return Endpoint.from_text("198.51.100.9", port)


def test_address_belongs_to_whoever_proved_it_last() -> None:
    seen = SeenAddresses()
    assert seen.owner(at(1)) is None
    seen.note(A, at(1))
    seen.note(B, at(1))
    assert seen.owner(at(1)) == B
    seen.forget(A)
    assert seen.owner(at(1)) == B
    seen.forget(B)
    assert seen.owner(at(1)) is None


def test_only_the_last_few_addresses_of_a_peer_are_kept() -> None:
    seen = SeenAddresses()
    for port in range(1, ADDRESSES_PER_PEER + 1):
        seen.note(A, at(port))
    seen.note(A, at(1))
    seen.note(A, at(999))
    assert seen.owner(at(1)) == A, "used again, so not the oldest"
    assert seen.owner(at(2)) is None
    assert seen.owner(at(999)) == A
