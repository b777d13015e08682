"""What one selector is known to hold of another, whatever devices there are.

Every name stands for devices of its own: a user for untagged devices, a tag for devices that carry
this tag and no other. What a literal address or a role has to do with a name is not known, and
neither is who is in a group of the identity provider.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from policy.model.selectors import (
    ROLE_AUTOGROUPS,
    Address,
    Autogroup,
    Cidr,
    DomainUsers,
    Group,
    HostAlias,
    IpSetName,
    Selector,
    Service,
    Tag,
    User,
    Wildcard,
)

if TYPE_CHECKING:
    from engine.netset.ipset import IpSet
    from engine.resolve.literals import Literals
    from policy.model.document import Policy

__all__ = ["Certain", "Coverage"]

Certain = bool | None
"""True and False hold on every tailnet in which no device has two tags; None depends on it."""


class Coverage:
    """Compares the selectors of rules with those that tests ask about.

    True is for a selector that holds everything that the asked one stands for, False for one that
    holds nothing of it.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def as_source(self, rule: Selector, asked: Selector) -> Certain:
        """Tell whether a source of a rule holds an asked source."""
        if rule.is_anyone:
            return True
        if not isinstance(rule, Wildcard):
            return self._holds(rule, asked)
        wanted = self._literal(asked)
        # Beside the tailnet `*` holds the subnets that routers bring in.
        return True if wanted is None or self._literals.all_in_wildcard(wanted) else None

    def as_destination(self, rule: Selector, asked: Selector) -> Certain:
        """Tell whether a destination of a rule holds an asked destination."""
        return isinstance(rule, Wildcard) or self._holds(rule, asked)

    def _holds(self, rule: Selector, asked: Selector) -> Certain:
        if rule.is_self:
            return False
        literal, wanted = self._literal(rule), self._literal(asked)
        if literal is not None and wanted is not None:
            if wanted.issubset(literal):
                return True
            return None if wanted.overlaps(literal) else False
        if literal is not None or wanted is not None:
            # A name against an address: they can only meet inside the tailnet's own ranges.
            known = literal if literal is not None else wanted
            return None if known is not None and self._literals.in_tailnet(known) else False
        return self._name_holds(rule, asked)

    def _literal(self, selector: Selector) -> IpSet | None:
        """Return the addresses that a selector spells out; None for names of devices."""
        if isinstance(selector, Address | Cidr | HostAlias | IpSetName) or (
            isinstance(selector, Autogroup) and selector.name == "internet"
        ):
            return self._literals.addresses(selector)
        return None

    @cached_property
    def _literals(self) -> Literals:
        # Imported here: most small policies spell no addresses out, and start the faster.
        from engine.resolve.literals import Literals  # noqa: PLC0415

        return Literals(self._policy)

    def _name_holds(self, rule: Selector, asked: Selector) -> Certain:
        if rule == asked:
            return True
        match rule:
            case User():
                return None if _is_several_users(asked) else False
            case Group() if rule.text in self._policy.groups:
                members = self._policy.groups[rule.text].members
                if isinstance(asked, User):
                    return asked.text in members
                return None if members and _is_several_users(asked) else False
            case Group():
                return None if isinstance(asked, User) or _is_several_users(asked) else False
            case DomainUsers():
                if isinstance(asked, User):
                    return asked.text.endswith(f"@{rule.domain}")
                return None if _is_several_users(asked) else False
            case Autogroup():
                return _autogroup_holds(rule, asked)
            case Service():
                return None
            case _:
                # A tag against all tagged devices: there may be others.
                return None if asked == Autogroup("autogroup:tagged") else False


def _is_several_users(selector: Selector) -> bool:
    """Whether a selector stands for users whose names are not known."""
    return isinstance(selector, Group | DomainUsers) or (
        isinstance(selector, Autogroup) and selector.name != "tagged"
    )


def _autogroup_holds(rule: Autogroup, asked: Selector) -> Certain:
    is_tagged = isinstance(asked, Tag) or (isinstance(asked, Autogroup) and asked.name == "tagged")
    match rule.name:
        case "tagged":
            return is_tagged
        case "member":
            return not is_tagged and not isinstance(asked, Service)
        case name if name in ROLE_AUTOGROUPS:
            return False if is_tagged else None
        case _:
            return False
