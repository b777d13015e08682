"""What the policy defines, gathered before any rule is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from policy.model.selectors import AUTOGROUPS, Group, HostAlias, IpSetName, Selector, Tag
from policy.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Names"]

_CODES: dict[type[Selector], str] = {
    Tag: "POL301",
    Group: "POL302",
    HostAlias: "POL303",
    IpSetName: "POL304",
}
_NOUNS: dict[type[Selector], str] = {
    Tag: "tag",
    Group: "group",
    HostAlias: "host",
    IpSetName: "ipset",
}


class Names(NamedTuple):
    """The names that selectors may refer to, each with its prefix."""

    tags: Collection[str]
    groups: Collection[str]
    hosts: Collection[str]
    ipsets: Collection[str]
    postures: Collection[str]
    domains: frozenset[str] | None
    """Mail domains of the tailnet; None where no inventory tells."""

    def undefined(self, selector: Selector) -> tuple[str, str, str] | None:
        """Return code, words and help for a selector that refers to nothing, else None.

        The words are the service's, such as `tag not found: "tag:x"`; it puts the place in front.
        """
        kind = type(selector)
        code = _CODES.get(kind)
        if code is None or self._is_defined(selector):
            return None
        words = f'{_NOUNS[kind]} not found: "{selector}"'
        close = self.meant(selector)
        wanted = f"define it in `{_SECTIONS[kind]}`"
        return code, words, f"did you mean `{close}`? If not, {wanted}" if close else wanted

    def meant(self, selector: Selector) -> str | None:
        """Return the name that was probably meant: a near one, or the same with its prefix."""
        if isinstance(selector, HostAlias):
            prefixed = (f"{kind}:{selector}" for kind in ("tag", "group", "ipset", "autogroup"))
            known = {*self.tags, *self.groups, *self.ipsets}
            known |= {f"autogroup:{name}" for name in AUTOGROUPS}
            for name in prefixed:
                if name in known:
                    return name
        return nearest(str(selector), sorted(self._defined(type(selector))))

    def _is_defined(self, selector: Selector) -> bool:
        if isinstance(selector, Group) and "@" in selector.text:
            return True  # a group of the identity provider is defined there, not here
        return selector.text in self._defined(type(selector))

    def _defined(self, kind: type[Selector]) -> Collection[str]:
        if kind is Tag:
            return self.tags
        if kind is Group:
            return self.groups
        return self.hosts if kind is HostAlias else self.ipsets

    def is_foreign(self, domain: str) -> bool:
        """Whether a domain is known not to belong to the tailnet (policy reference 2.4)."""
        if self.domains is None:
            return "*" in domain or not domain
        return domain not in self.domains


_SECTIONS: dict[type[Selector], str] = {
    Tag: "tagOwners",
    Group: "groups",
    HostAlias: "hosts",
    IpSetName: "ipsets",
}
