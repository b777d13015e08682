"""Logins that a policy names and an inventory does not have: most often a slip of the pen.

The service takes them without a word, and they stand for nobody; so this is advice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.diagnostics.diagnostic import Diagnostic, Severity
from policy.hujson.tree import Array, Object, String
from policy.lower.fields import term
from policy.model.selectors import User
from policy.nearest import nearest
from policy.report.trust import selectors
from policy.source import Span

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from policy.hujson.tree import Node
    from policy.model.document import Policy

__all__ = ["unknown_users"]

_CODE = "POL310"
_MOST = 50
"""How many are reported: an inventory of another tailnet would lack them all."""
_TESTS = frozenset({"tests", "sshtests"})


def unknown_users(
    policy: Policy, root: Node | None, logins: Collection[str]
) -> Iterator[Diagnostic]:
    """Yield a warning where each login that is not in `logins` is first written."""
    named = {member for group in policy.groups.values() for member in group.members}
    named.update(s.text for s in selectors(policy) if isinstance(s, User))
    missing = {name for name in named if "@" in name and name not in logins}
    if not missing or root is None:
        return
    for count, (login, span) in enumerate(_first_places(root, missing)):
        if count == _MOST:
            return
        close = nearest(login, logins)
        yield Diagnostic(
            _CODE,
            Severity.WARNING,
            f'user not in the inventory: "{login}"',
            policy.source,
            span,
            f"did you mean `{close}`?" if close else "nobody is meant by it as things are",
        )


def _first_places(root: Node, wanted: set[str]) -> Iterator[tuple[str, Span]]:
    left = set(wanted)
    for node in _strings(root):
        found = term(node)
        login = found.text
        if login not in left:
            # The destination of an acl: a selector, a colon and ports.
            login = login.rpartition(":")[0]
        if login in left:
            left.discard(login)
            yield login, Span(found.span.start, found.span.start + len(login))


def _strings(root: Node) -> Iterator[String]:
    """Yield the strings that are values, in source order, those of tests left out."""
    pending: list[Node] = [root]
    while pending:
        node = pending.pop()
        if isinstance(node, String):
            yield node
        elif isinstance(node, Array):
            pending.extend(reversed(node.elements))
        elif isinstance(node, Object):
            members = node.members
            if node is root:
                members = [m for m in members if m.name.value.lower() not in _TESTS]
            pending.extend(member.value for member in reversed(members))
