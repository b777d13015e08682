"""Which address a new node gets. Reserved ranges are never given out (control reference 7.1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from control.errors import ControlError, InvalidRequestError
from control.wire.tailnet_address import CGNAT, CHROME_OS_VM, SERVICE_IPV6, TAILNET_IPV6, VIA_IPV6

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from control.keys import Entropy

__all__ = ["AddressPool", "AddressesExhaustedError", "Allocation", "check_pools"]

_RESERVED_IPV4: Final = (IPv4Network("100.100.100.0/24"), CHROME_OS_VM)
_RESERVED_IPV6: Final = (
    IPv6Network((SERVICE_IPV6, 128)),
    VIA_IPV6,
    IPv6Network("fd7a:115c:a1e0:efe3::/64"),
)

Address = TypeVar("Address", bound=IPv4Address | IPv6Address)


class AddressesExhaustedError(ControlError):
    """Every address of a pool is in use."""


class Allocation(Enum):
    """How the next address is chosen."""

    SEQUENTIAL = "sequential"
    RANDOM = "random"


def check_pools(ipv4: IPv4Network | None, ipv6: IPv6Network | None) -> None:
    """Raise InvalidRequestError unless the pools lie where nodes expect tailnet addresses."""
    if ipv4 is None and ipv6 is None:
        raise InvalidRequestError("prefixes: at least one of v4 and v6 is needed")
    if ipv4 is not None and not ipv4.subnet_of(CGNAT):
        raise InvalidRequestError(f"prefixes.v4: {ipv4} is not inside {CGNAT}")
    if ipv6 is not None and not ipv6.subnet_of(TAILNET_IPV6):
        raise InvalidRequestError(f"prefixes.v6: {ipv6} is not inside {TAILNET_IPV6}")


@dataclass(frozen=True, slots=True)
class _Span:
    """Numbers `first` to `last`, both included."""

    first: int
    last: int


class AddressPool(Generic[Address]):
    """One family's addresses and which of them are taken.

    Sequential allocation goes on behind the last address given out, so a freed one rests before
    it is used again.
    """

    def __init__(
        self,
        prefix: IPv4Network | IPv6Network,
        make: Callable[[int], Address],
        allocation: Allocation,
        entropy: Entropy,
    ) -> None:
        self._prefix = prefix
        self._make: Callable[[int], Address] = make
        self._allocation = allocation
        self._entropy = entropy
        # Neither the network's own address nor its broadcast address belongs to a node.
        self._span = _Span(int(prefix.network_address) + 1, int(prefix.broadcast_address) - 1)
        reserved = _RESERVED_IPV4 if prefix.version == 4 else _RESERVED_IPV6
        self._reserved = [_Span(int(r.network_address), int(r.broadcast_address)) for r in reserved]
        self._taken: set[int] = set()
        self._next = self._span.first

    def take_all(self, addresses: Iterable[Address]) -> None:
        """Note addresses in use at the start; the next one follows the highest of them."""
        self._taken.update(map(int, addresses))
        inside = [n for n in self._taken if self._span.first <= n <= self._span.last]
        if inside and self._allocation is Allocation.SEQUENTIAL:
            self._next = max(inside) + 1

    def take(self) -> Address:
        """Return a free address and mark it taken; raises AddressesExhaustedError."""
        if self._allocation is Allocation.RANDOM:
            size = self._span.last - self._span.first + 1
            drawn = int.from_bytes(self._entropy(16), "big") % size
            self._next = self._span.first + drawn
        number = self._first_free(self._next, self._span.last)
        if number is None:
            number = self._first_free(self._span.first, self._next - 1)
        if number is None:
            raise AddressesExhaustedError(
                f"no address is left in {self._prefix}; delete nodes or widen the prefix"
            )
        self._taken.add(number)
        self._next = number + 1
        return self._make(number)

    def mark(self, address: Address) -> None:
        """Note that another server gave this address out."""
        self._taken.add(int(address))

    def free(self, address: Address) -> None:
        """Give an address back."""
        self._taken.discard(int(address))

    def _first_free(self, start: int, last: int) -> int | None:
        number = start
        while number <= last:
            for span in self._reserved:
                if span.first <= number <= span.last:
                    number = span.last + 1
                    break
            else:
                if number not in self._taken:
                    return number
                number += 1
        return None
