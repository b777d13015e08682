"""Who is asked about: host names, addresses and selectors, turned into addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.netset.address import Address
from engine.netset.constants import INTERNET_SET
from engine.netset.ipset import IpSet
from engine.rules import EngineError
from policy.model.ports import PolicyValueError, parse_protocol
from policy.model.selectors import Address as AddressSelector
from policy.model.selectors import Autogroup, Cidr, Selector, Wildcard, parse_selector
from policy.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.directory import DirectoryNode
    from engine.resolve.selectors import Resolver

__all__ = ["Party", "QuestionError", "read_party", "read_protocol"]

_TCP = 6


class QuestionError(EngineError):
    """A question that cannot be asked; the message says what to change."""


class Party(NamedTuple):
    """One address taking part in a flow, and the device that has it, if any."""

    address: Address
    node: DirectoryNode | None

    def __str__(self) -> str:
        return f"{self.node.hostname} ({self.address})" if self.node else str(self.address)


def read_party(text: str, resolver: Resolver) -> tuple[Party, ...]:
    """Return the addresses that a host name, an address or a selector stands for.

    Raises QuestionError.
    """
    directory = resolver.directory
    named = directory.by_hostname.get(text)
    if named is not None:
        return tuple(Party(address, named) for address in named.addresses)
    selector = parse_selector(text)
    if selector is None:
        raise QuestionError("an empty name; give a host name, an address or a selector")
    if isinstance(selector, Autogroup) and selector.name == "internet":
        return _internet_samples()
    _check(selector, text, resolver)
    if isinstance(selector, AddressSelector):
        return (_at(Address.parse(str(selector.ip)), resolver),)
    parties = list(_devices(selector, resolver))
    if not parties:
        parties = [
            _at(Address.parse(literal), resolver)
            for literal in resolver.extent(selector).texts
            if "/" not in literal and "-" not in literal
        ]
    if not parties:
        raise QuestionError(f"no device in the inventory is {text}")
    return tuple(parties)


def _devices(selector: Selector, resolver: Resolver) -> Iterator[Party]:
    """Yield the addresses of devices; what spells addresses out brings no other ones along."""
    spelled = IpSet.of_strings(resolver.extent(selector).texts)
    for index in resolver.nodes(selector):
        node = resolver.directory.nodes[index]
        for address in node.addresses:
            if spelled.is_empty or address in spelled:
                yield Party(address, node)


def _internet_samples() -> tuple[Party, ...]:
    """Stand in for the internet with one address of each version."""
    v4, v6 = Address.parse("8.8.8.8"), Address.parse("2001:4860:4860::8888")
    return tuple(Party(a, None) for a in (v4, v6) if INTERNET_SET.contains(*a))


def _check(selector: Selector, text: str, resolver: Resolver) -> None:
    if isinstance(selector, Wildcard | Cidr) or selector.is_self or selector.is_anyone:
        raise QuestionError(f"{text} stands for too much; name a device, a user or a tag")
    policy = resolver.policy
    defined = {
        "tag": policy.tag_owners,
        "host alias": policy.hosts,
        "ip set": policy.ipsets,
        "group": policy.groups,
    }.get(selector.kind)
    if defined is not None and text not in defined:
        hosts = [node.hostname for node in resolver.directory.nodes]
        close = nearest(text, [*hosts, *defined])
        hint = f"; did you mean {close}?" if close else ""
        raise QuestionError(f"neither a device nor a {selector.kind} is called {text}{hint}")


def _at(address: Address, resolver: Resolver) -> Party:
    index = resolver.directory.by_address.get(address)
    return Party(address, None if index is None else resolver.directory.nodes[index])


def read_protocol(text: str | None) -> int:
    """Return a protocol number; TCP where none is given. Raises QuestionError."""
    if text is None:
        return _TCP
    try:
        return parse_protocol(text) or _TCP
    except PolicyValueError as error:
        raise QuestionError(str(error)) from None
