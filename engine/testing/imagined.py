"""A tailnet imagined from a policy: one device for every user and every tag that it names.

SSH rules speak of users and tags only, so that what they say of these devices they say of all.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from engine.directory import Directory, DirectoryNode, DirectoryUser, Settings
from engine.netset.address import Address
from engine.netset.constants import CGNAT, TAILNET_ULA
from policy.model.rules import AclDestination
from policy.model.selectors import (
    ROLE_AUTOGROUPS,
    Autogroup,
    Group,
    Selector,
    Tag,
    User,
    parse_selector,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from policy.model.cases import SshTestCase
    from policy.model.document import Policy
    from policy.model.rules import Acl, Grant, SshRule

__all__ = ["imagine", "imagine_both", "is_certain"]

_STRANGER = "someone@invalid"
"""A user whom no policy names: what is said of everybody must hold for this one too."""


def imagine(policy: Policy, cases: Iterable[SshTestCase]) -> Directory:
    """Return a directory with a device for each user and tag named anywhere, and for a stranger."""
    logins: dict[str, None] = {_STRANGER: None}
    for group in policy.groups.values():
        logins.update(dict.fromkeys(group.members))
    for selector in _parties(policy, cases):
        if isinstance(selector, User):
            logins[selector.text] = None
    return _tailnet(logins, policy.tag_owners)


def imagine_both(old: Policy, new: Policy) -> Directory:
    """Return a directory with a device for each user and tag of two policies, and a stranger."""
    logins: dict[str, None] = {_STRANGER: None}
    tags: dict[str, None] = {}
    for policy in (old, new):
        for group in policy.groups.values():
            logins.update(dict.fromkeys(group.members))
        rules = [*policy.network_rules, *policy.ssh]
        for selector in chain.from_iterable(map(_named, rules)):
            if isinstance(selector, User):
                logins[selector.text] = None
        tags.update(dict.fromkeys(policy.tag_owners))
    return _tailnet(logins, tags)


def _named(rule: Acl | Grant | SshRule) -> Iterator[Selector]:
    yield from rule.src
    for destination in rule.dst:
        yield destination.selector if isinstance(destination, AclDestination) else destination


def _tailnet(logins: Iterable[str], tags: Iterable[str]) -> Directory:
    users = tuple(
        DirectoryUser(str(number), login, login, "member") for number, login in enumerate(logins, 1)
    )
    owned = [(login, ()) for login in logins]
    tagged = [(None, (tag,)) for tag in tags]
    nodes = tuple(
        DirectoryNode(
            index=index,
            id=str(index + 1),
            hostname=f"device-{index + 1}",
            ipv4=Address(4, CGNAT.base + index + 1),
            ipv6=Address(6, TAILNET_ULA.base + index + 1),
            user=user,
            tags=carried,
            routes=(),
            exit_routes=(),
        )
        for index, (user, carried) in enumerate([*owned, *tagged])
    )
    domains = frozenset(login.rpartition("@")[2] for login in logins)
    return Directory(users, nodes, Settings(domains=domains))


def is_certain(policy: Policy, case: SshTestCase) -> bool:
    """Tell whether a case asks only about what an imagined tailnet answers for every tailnet."""
    named = _parties(policy, (case,))
    return all(_is_imaginable(selector, policy) for selector in named) and not any(
        rule.src_posture or policy.default_src_posture for rule in policy.ssh
    )


def _parties(policy: Policy, cases: Iterable[SshTestCase]) -> list[Selector]:
    terms = [term for case in cases for term in (*case.src, *case.dst)]
    found = [parse_selector(term.text) for term in terms]
    rules = [selector for rule in policy.ssh for selector in (*rule.src, *rule.dst)]
    return [*rules, *(selector for selector in found if selector is not None)]


def _is_imaginable(selector: Selector, policy: Policy) -> bool:
    if isinstance(selector, Autogroup):
        return selector.name not in ROLE_AUTOGROUPS
    if isinstance(selector, Group):
        return selector.text in policy.groups
    return isinstance(selector, User | Tag)
