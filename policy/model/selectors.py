"""Selectors: the closed set of ways in which policy text names principals and destinations.

A selector is parsed once, when the document is lowered, and never taken apart as text again. What
a selector stands for on a given tailnet is the engine's business (policy reference 3.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from policy.model.grammar import parse_token

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

__all__ = [
    "AUTOGROUPS",
    "ROLE_AUTOGROUPS",
    "Address",
    "Autogroup",
    "Cidr",
    "DomainUsers",
    "Group",
    "HostAlias",
    "IpSetName",
    "Selector",
    "Service",
    "Tag",
    "User",
    "Wildcard",
    "parse_selector",
]

ROLE_AUTOGROUPS = frozenset(
    {"owner", "admin", "it-admin", "network-admin", "billing-admin", "auditor"}
)
"""Autogroups that stand for users of one role (policy reference 2.3)."""

AUTOGROUPS = ROLE_AUTOGROUPS | {
    "member",
    "tagged",
    "self",
    "internet",
    "danger-all",
    "shared",
    "nonroot",
}
"""Every autogroup name, in its present spelling."""


class Selector:
    """One selector. Two selectors are equal when they are of one kind and name the same thing."""

    __slots__ = ("text",)
    kind: ClassVar[str]
    """What messages call it, such as `tag` or `host alias`."""
    prefix: ClassVar[str] = ""
    """What its text starts with, colon included."""

    def __init__(self, text: str) -> None:
        self.text = text
        """As written, without surrounding spaces and TABs."""

    @property
    def noun(self) -> str:
        """The kind with its article, for messages."""
        return f"{'an' if self.kind[0] in 'aeio' else 'a'} {self.kind}"

    @property
    def name(self) -> str:
        """The text behind the prefix."""
        return self.text[len(self.prefix) :]

    @property
    def is_self(self) -> bool:
        """Whether it is `autogroup:self`, which stands for other devices at each receiver."""
        return self.text == "autogroup:self"

    @property
    def is_anyone(self) -> bool:
        """Whether it is `autogroup:danger-all`: any address there is."""
        return self.text == "autogroup:danger-all"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Selector) and type(self) is type(other) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text!r})"


class Wildcard(Selector):
    """`*`: everything in the tailnet."""

    __slots__ = ()
    kind = "wildcard"


class User(Selector):
    """A login such as `ann@corp.test`: that user's untagged devices."""

    __slots__ = ()
    kind = "user"


class Group(Selector):
    """`group:x`, and `group:x@domain` for a group of the identity provider."""

    __slots__ = ()
    kind = "group"
    prefix = "group:"


class Tag(Selector):
    """`tag:x`: the devices that carry the tag."""

    __slots__ = ()
    kind = "tag"
    prefix = "tag:"


class HostAlias(Selector):
    """A bare name, defined in `hosts`."""

    __slots__ = ()
    kind = "host alias"


class IpSetName(Selector):
    """`ipset:x`, defined in `ipsets`."""

    __slots__ = ()
    kind = "ip set"
    prefix = "ipset:"


class Service(Selector):
    """`svc:x`: the virtual addresses of a service."""

    __slots__ = ()
    kind = "service"
    prefix = "svc:"


class DomainUsers(Selector):
    """`user:*@domain`: users whose login ends in the domain."""

    __slots__ = ()
    kind = "domain wildcard"
    prefix = "user:*@"

    @property
    def domain(self) -> str:
        """The domain behind the `@`."""
        return self.name


class Autogroup(Selector):
    """`autogroup:x`. Its name need not exist; lowering reports one that does not."""

    __slots__ = ()
    kind = "autogroup"
    prefix = "autogroup:"

    @property
    def name(self) -> str:
        """The name behind the prefix, in its present spelling (`members` is an old `member`)."""
        name = super().name
        return "member" if name == "members" else name


class Address(Selector):
    """A single IP address."""

    __slots__ = ("ip",)
    kind = "address"

    def __init__(self, text: str, ip: IPv4Address | IPv6Address) -> None:
        super().__init__(text)
        self.ip = ip


class Cidr(Selector):
    """A prefix. Host bits are masked in `network` and kept in `text`."""

    __slots__ = ("network",)
    kind = "CIDR"

    def __init__(self, text: str, network: IPv4Network | IPv6Network) -> None:
        super().__init__(text)
        self.network = network


_BY_TERMINAL: dict[str, type[Selector]] = {
    "ANYTHING": Wildcard,
    "AUTOGROUP": Autogroup,
    "GROUP": Group,
    "TAG": Tag,
    "IPSET": IpSetName,
    "SERVICE": Service,
    "DOMAIN_USERS": DomainUsers,
    "LOGIN": User,
    "HOST": HostAlias,
}


def parse_selector(text: str) -> Selector | None:
    """Parse one selector, trimmed of spaces and TABs; None where the text is empty.

    Every other text is some selector: what is not recognised is taken as a host alias, whose
    existence lowering checks.
    """
    trimmed = text.strip(" \t")
    if not trimmed:
        return None
    terminal, value = parse_token("selector", trimmed)
    if terminal in {"IPV4", "IPV6"}:
        return _numeric(value) or HostAlias(value)
    return _BY_TERMINAL[terminal](value)


def _numeric(text: str) -> Selector | None:
    # Imported here: a policy without literal addresses, as most small ones, starts faster.
    import ipaddress  # noqa: PLC0415

    try:
        if "/" in text:
            return Cidr(text, ipaddress.ip_network(text, strict=False))
        return Address(text, ipaddress.ip_address(text))
    except ValueError:
        return None
