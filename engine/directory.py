"""The snapshot of users and devices that a policy is compiled against.

Immutable: a change of the tailnet is a new directory. Whoever fills it has validated addresses
and routes already (`engine.inventory` for files).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from engine.netset.address import BITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.netset.address import Address
    from engine.netset.prefix import Prefix
    from engine.netset.ranges import AddressRange

__all__ = ["Directory", "DirectoryNode", "DirectoryUser", "Route", "Settings"]

AttributeValue = str | int | float | bool


class DirectoryUser(NamedTuple):
    """Someone who can own devices."""

    id: str
    login: str
    """The mail address or provider name that policies use."""
    display_name: str
    role: str
    """`owner`, `admin`, `it-admin`, `network-admin`, `billing-admin`, `auditor` or `member`."""
    groups: frozenset[str] = frozenset()
    """Groups of the identity provider, with their `group:` prefix."""


class Route(NamedTuple):
    """A subnet route: a prefix that is advertised and approved, and is no exit route."""

    text: str
    """As on the wire."""
    range: AddressRange


@dataclass(frozen=True, slots=True)
class DirectoryNode:
    """One device. It has a user or tags, never both (policy reference 3.2)."""

    index: int
    """Place in the directory, from 0: the order in which selectors list devices."""
    id: str
    hostname: str
    ipv4: Address | None
    ipv6: Address | None
    user: str | None
    """Login of the owner; None for a tagged device."""
    tags: tuple[str, ...]
    routes: tuple[Route, ...]
    """Effective subnet routes."""
    exit_routes: tuple[str, ...]
    """Effective ones of `0.0.0.0/0` and `::/0`."""
    advertised: tuple[Prefix, ...] = ()
    """Everything advertised, approved or not."""
    created: str = ""
    """RFC 3339 in UTC with nine digits of fraction: sorts by time as text."""
    online: bool = True
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    """Posture attributes, such as `node:os`."""
    _spelled: tuple[tuple[str, ...], tuple[str, ...]] | None = field(
        default=None, init=False, repr=False, compare=False
    )

    @property
    def addresses(self) -> tuple[Address, ...]:
        """IPv4 then IPv6, as far as there."""
        return tuple(a for a in (self.ipv4, self.ipv6) if a is not None)

    @property
    def address_texts(self) -> tuple[str, ...]:
        """Addresses as on the wire."""
        return self._texts()[0]

    @property
    def host_prefixes(self) -> tuple[str, ...]:
        """Addresses as on the wire, with their length."""
        return self._texts()[1]

    def _texts(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        # Spelled once: a node outlives many directories.
        if self._spelled is None:
            texts = tuple(map(str, self.addresses))
            pairs = zip(texts, self.addresses, strict=True)
            hosts = tuple(f"{text}/{BITS[address.version]}" for text, address in pairs)
            object.__setattr__(self, "_spelled", (texts, hosts))
            return texts, hosts
        return self._spelled


class Settings(NamedTuple):
    """Settings of the tailnet that show in what nodes are told."""

    name: str | None = None
    """Display name; None for the first user's login."""
    domains: frozenset[str] | None = None
    """Associated mail domains; None for the domain of the first user's login."""
    auto_update: bool | None = None
    """Whether devices update themselves by default; None where nodes are not told."""
    https_certificates: bool = False
    services: Mapping[str, tuple[Address, ...]] = {}
    """Virtual addresses of each `svc:` name."""


@dataclass(frozen=True)
class Directory:
    """Users and devices, in topology order."""

    users: tuple[DirectoryUser, ...]
    nodes: tuple[DirectoryNode, ...]
    settings: Settings = field(default_factory=Settings)

    @cached_property
    def by_login(self) -> dict[str, DirectoryUser]:
        """Users by login."""
        return {user.login: user for user in self.users}

    @cached_property
    def by_hostname(self) -> dict[str, DirectoryNode]:
        """Devices by host name; of equal names the first."""
        return {node.hostname: node for node in reversed(self.nodes)}

    @cached_property
    def by_user(self) -> dict[str, tuple[int, ...]]:
        """Indices of untagged devices by their owner's login."""
        owned: dict[str, list[int]] = {}
        for node in self.nodes:
            if node.user is not None:
                owned.setdefault(node.user, []).append(node.index)
        return {login: tuple(indices) for login, indices in owned.items()}

    @cached_property
    def by_tag(self) -> dict[str, tuple[int, ...]]:
        """Indices of devices by tag."""
        tagged: dict[str, list[int]] = {}
        for node in self.nodes:
            for tag in node.tags:
                tagged.setdefault(tag, []).append(node.index)
        return {tag: tuple(indices) for tag, indices in tagged.items()}

    @cached_property
    def by_address(self) -> dict[Address, int]:
        """Indices of devices by address."""
        return {address: node.index for node in self.nodes for address in node.addresses}

    @cached_property
    def domains(self) -> frozenset[str]:
        """Mail domains associated with the tailnet (policy reference 2.4)."""
        if self.settings.domains is not None:
            return self.settings.domains
        if not self.users:
            return frozenset()
        _, at, domain = self.users[0].login.rpartition("@")
        return frozenset({domain} if at else ())

    @cached_property
    def name(self) -> str:
        """What the tailnet is called."""
        if self.settings.name is not None:
            return self.settings.name
        return self.users[0].login if self.users else ""
