"""Selectors to devices and addresses (policy reference 3.2)."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from engine.netset.constants import WILDCARD_SOURCES
from engine.netset.ipset import IpSet
from engine.resolve.literals import Literals
from engine.resolve.posture import satisfies_any
from policy.model.selectors import (
    Autogroup,
    DomainUsers,
    Group,
    Selector,
    Service,
    Tag,
    User,
    Wildcard,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.directory import Directory
    from policy.model.document import Policy

__all__ = ["Resolver", "Strings"]

Strings = tuple[str, ...]


class Extent(NamedTuple):
    """What a selector stands for: some devices, some addresses as written, or both empty."""

    nodes: tuple[int, ...]
    """Indices in topology order."""
    texts: Strings
    """Wire strings of addresses that are not looked up among the devices."""


class Resolver:
    """Answers what selectors stand for, each worked out once."""

    def __init__(self, policy: Policy, directory: Directory) -> None:
        self.policy = policy
        self.directory = directory
        self._literals = Literals(policy)
        self._extents: dict[Selector, Extent] = {}
        self._passing: dict[Strings, frozenset[int]] = {}

    def extent(self, selector: Selector) -> Extent:
        """Return the devices or addresses of any selector but `*`, self and danger-all."""
        extent = self._extents.get(selector)
        if extent is None:
            extent = self._extents[selector] = self._resolve(selector)
        return extent

    def nodes(self, selector: Selector) -> tuple[int, ...]:
        """Return the devices that a selector names or whose own address it holds."""
        if isinstance(selector, Wildcard):
            return tuple(range(len(self.directory.nodes)))
        extent = self.extent(selector)
        if not extent.texts:
            return extent.nodes
        wanted = IpSet.of_strings(extent.texts)
        return tuple(
            node.index
            for node in self.directory.nodes
            if any(wanted.contains(*address) for address in node.addresses)
        )

    def address_texts(self, index: int) -> Strings:
        """Return a device's addresses as on the wire, IPv4 first."""
        return self._address_texts[index]

    def sources(self, selectors: Iterable[Selector], postures: Strings) -> Strings:
        """Return the byte-sorted union of what selectors give as sources (3.4).

        `postures` are those that a device must pass any of; empty asks for none.
        """
        wanted = list(selectors)
        if any(selector.is_anyone for selector in wanted):
            if not postures:
                return ("*",)
            # Anyone under a posture is whoever passes it; what else is listed stays.
            wanted = [Wildcard("*") if selector.is_anyone else selector for selector in wanted]
        texts: set[str] = set()
        for selector in wanted:
            texts.update(self._source_texts(selector, postures))
        return tuple(sorted(texts))

    def _source_texts(self, selector: Selector, postures: Strings) -> Iterable[str]:
        if isinstance(selector, Wildcard):
            routes = [route.text for node in self.directory.nodes for route in node.routes]
            if not postures:
                return (*WILDCARD_SOURCES, *routes)
            return (*self._texts_of(self._passing_nodes(postures)), *routes)
        extent = self.extent(selector)
        if not postures:
            return (*self._texts_of(extent.nodes), *extent.texts)
        passing = self._passing_nodes(postures)
        return (
            *self._texts_of(index for index in extent.nodes if index in passing),
            *self._without_failing(extent.texts, passing),
        )

    def _texts_of(self, indices: Iterable[int]) -> Iterable[str]:
        for index in indices:
            yield from self._address_texts[index]

    def _without_failing(self, texts: Strings, passing: frozenset[int]) -> Iterable[str]:
        """Take the addresses of devices that fail their posture out of literal addresses."""
        failing = IpSet.of_addresses(
            address
            for node in self.directory.nodes
            if node.index not in passing
            for address in node.addresses
        )
        for text in texts:
            whole = IpSet.of(text)
            if whole.overlaps(failing):
                yield from (whole - failing).strings()
            else:
                yield text

    def _passing_nodes(self, postures: Strings) -> frozenset[int]:
        passing = self._passing.get(postures)
        if passing is None:
            passing = self._passing[postures] = frozenset(
                node.index
                for node in self.directory.nodes
                if satisfies_any(postures, self.policy.postures, node.attributes)
            )
        return passing

    def passes(self, index: int, postures: Strings) -> bool:
        """Tell whether a device passes any of some postures; none asked always passes."""
        return not postures or index in self._passing_nodes(postures)

    def postures_of(self, own: Strings) -> Strings:
        """Return the postures in effect for a rule: its own list, else the default."""
        return own or self.policy.default_src_posture

    @cached_property
    def _address_texts(self) -> list[Strings]:
        return [node.address_texts for node in self.directory.nodes]

    @cached_property
    def _untagged(self) -> tuple[int, ...]:
        return tuple(node.index for node in self.directory.nodes if not node.tags)

    def _resolve(self, selector: Selector) -> Extent:
        texts = self._literals.texts(selector)
        if texts is not None:
            return Extent((), texts)
        match selector:
            case User() | DomainUsers() | Group():
                return Extent(self._owned_by(self._logins(selector)), ())
            case Tag():
                return Extent(self.directory.by_tag.get(selector.text, ()), ())
            case Autogroup():
                return self._resolve_autogroup(selector)
            case Service():
                virtual = self.directory.settings.services.get(selector.text, ())
                return Extent((), tuple(str(address) for address in virtual))
            case _:
                raise TypeError(f"{selector!r} has no extent of its own")

    def _resolve_autogroup(self, selector: Autogroup) -> Extent:
        match selector.name:
            case "member":
                return Extent(self._untagged, ())
            case "tagged":
                tagged = (node.index for node in self.directory.nodes if node.tags)
                return Extent(tuple(tagged), ())
            case "self" | "danger-all" as name:
                raise TypeError(f"autogroup:{name} has no extent of its own")
            case "shared" | "nonroot":
                return Extent((), ())
            case role:
                roles = {role, "owner"} if role == "admin" else {role}
                logins = (user.login for user in self.directory.users if user.role in roles)
                return Extent(self._owned_by(logins), ())

    def _logins(self, selector: Selector) -> Iterable[str]:
        match selector:
            case User():
                return (selector.text,)
            case DomainUsers():
                ending = f"@{selector.domain}"
                return (u.login for u in self.directory.users if u.login.endswith(ending))
            case Group() if selector.text in self.policy.groups:
                return self.policy.groups[selector.text].members
            case _:
                return (u.login for u in self.directory.users if selector.text in u.groups)

    def _owned_by(self, logins: Iterable[str]) -> tuple[int, ...]:
        owned = self.directory.by_user
        found = {index for login in set(logins) for index in owned.get(login, ())}
        return tuple(sorted(found))
