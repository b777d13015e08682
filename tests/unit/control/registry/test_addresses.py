"""Addresses: inside the pool, outside what is reserved, never twice."""

from __future__ import annotations

import itertools
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest

from control.errors import InvalidRequestError
from control.registry.addresses import (
    AddressesExhaustedError,
    AddressPool,
    Allocation,
    check_pools,
)


def pool(
    prefix: str, allocation: Allocation = Allocation.SEQUENTIAL, entropy: int = 0
) -> AddressPool[IPv4Address]:
    return AddressPool(
        IPv4Network(prefix), IPv4Address, allocation, lambda n: entropy.to_bytes(n, "big")
    )


def test_sequence_starts_behind_the_networks_own_address() -> None:
    made = pool("100.64.0.0/10")
    assert [str(made.take()) for _ in range(2)] == ["100.64.0.1", "100.64.0.2"]


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ("100.100.99.255", "100.100.101.0"),
        ("100.115.91.255", "100.115.94.0"),
    ],
)
def test_reserved_ranges_are_passed_over(last: str, expected: str) -> None:
    made = pool("100.64.0.0/10")
    made.take_all([IPv4Address(last)])
    assert str(made.take()) == expected


def test_ipv6_reserved_address_is_passed_over() -> None:
    made = AddressPool(
        IPv6Network("fd7a:115c:a1e0::/48"), IPv6Address, Allocation.SEQUENTIAL, bytes
    )
    made.take_all([IPv6Address("fd7a:115c:a1e0::52")])
    assert str(made.take()) == "fd7a:115c:a1e0::54"


def test_freed_address_rests_until_the_sequence_comes_round() -> None:
    made = pool("100.64.0.0/29")
    first = made.take()
    made.free(first)
    taken = [str(made.take()) for _ in range(6)]
    assert taken[-1] == str(first)
    assert len(set(taken)) == 6


def test_exhausted_pool_says_so() -> None:
    made = pool("100.64.0.0/30")
    assert [made.take(), made.take()] == [IPv4Address("100.64.0.1"), IPv4Address("100.64.0.2")]
    with pytest.raises(AddressesExhaustedError, match="widen the prefix"):
        made.take()


def test_random_allocation_starts_where_it_is_drawn_and_wraps() -> None:
    made = pool("100.64.0.0/29", Allocation.RANDOM, entropy=4)
    taken = [str(made.take()) for _ in range(6)]
    assert taken == [f"100.64.0.{n}" for n in (5, 6, 1, 2, 3, 4)]


def test_marked_addresses_are_not_given_out() -> None:
    made = pool("100.64.0.0/29")
    made.mark(IPv4Address("100.64.0.1"))
    assert str(made.take()) == "100.64.0.2"


@pytest.mark.parametrize("allocation", list(Allocation))
def test_no_address_is_given_twice(allocation: Allocation) -> None:
    counter = itertools.count()
    made = AddressPool(
        IPv4Network("100.64.0.0/22"),
        IPv4Address,
        allocation,
        lambda n: (next(counter) * 7919).to_bytes(n, "big"),
    )
    taken = [made.take() for _ in range(1022)]
    assert len(set(taken)) == 1022


@pytest.mark.parametrize(
    ("ipv4", "ipv6"),
    [
        (None, None),
        (IPv4Network("10.0.0.0/8"), None),
        (None, IPv6Network("fd00::/48")),
    ],
)
def test_pools_elsewhere_are_refused(ipv4: IPv4Network | None, ipv6: IPv6Network | None) -> None:
    with pytest.raises(InvalidRequestError):
        check_pools(ipv4, ipv6)
