"""What a policy says that only an inventory could confirm.

Without one, logins, domains and roles are taken as written. A reader shall know how much of the
answer rests on that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from policy.model.selectors import ROLE_AUTOGROUPS, Autogroup, DomainUsers, User

if TYPE_CHECKING:
    from collections.abc import Iterator

    from policy.model.document import Policy
    from policy.model.selectors import Selector

__all__ = ["Trust", "selectors", "trusted"]

_LOCALPART = "localpart:*@"


class Trust(NamedTuple):
    """How many different things of each kind were not checked."""

    users: int
    """Logins, in rules and as members of groups."""
    domains: int
    """Mail domains, of `user:*@domain` and `localpart:*@domain`."""
    roles: int
    """Role autogroups, such as `autogroup:admin`, whose members nobody knows."""
    tests: int
    """Tests whose answer depends on an inventory."""

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self)


def trusted(policy: Policy, undecided: int) -> Trust:
    """Count what a valid policy takes on trust; `undecided` is the number of undecided tests."""
    users = {member for group in policy.groups.values() for member in group.members}
    domains: set[str] = set()
    roles: set[str] = set()
    for selector in selectors(policy):
        match selector:
            case User():
                users.add(selector.text)
            case DomainUsers():
                domains.add(selector.domain)
            case Autogroup() if selector.name in ROLE_AUTOGROUPS:
                roles.add(selector.name)
            case _:
                pass
    for rule in policy.ssh:
        domains.update(
            account.removeprefix(_LOCALPART)
            for account in rule.users
            if account.startswith(_LOCALPART)
        )
    return Trust(len(users), len(domains), len(roles), undecided)


def selectors(policy: Policy) -> Iterator[Selector]:
    """Yield every selector of every section but the tests; a selector may come again."""
    for acl in policy.acls or ():
        yield from acl.src
        yield from (destination.selector for destination in acl.dst)
    for grant in policy.grants or ():
        yield from grant.src
        yield from grant.dst
    for rule in policy.ssh:
        yield from rule.src
        yield from rule.dst
    for attr in policy.node_attrs:
        yield from attr.target
    for owned in policy.tag_owners.values():
        yield from owned.owners
    approvers = policy.auto_approvers
    yield from approvers.exit_node
    for route in approvers.routes:
        yield from route.approvers
    for service in approvers.services:
        yield from service.approvers
