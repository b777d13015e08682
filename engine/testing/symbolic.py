"""The oracle without an inventory: what holds on every tailnet, as far as that can be known.

Every name stands for devices of its own: a user for untagged devices, a tag for devices that carry
this tag and no other. What a literal address or a role has to do with a name is not known, and
neither is who is in a group of the identity provider. Answers are True, False or None.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from engine.compile.origins import origin_of, rules_in_force
from engine.resolve.posture import satisfies_any
from engine.testing.oracle import Question, Reach
from policy.model.rules import Acl
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
    from collections.abc import Iterable, Iterator

    from engine.netset.ipset import IpSet
    from engine.origin import Origin
    from engine.resolve.literals import Literals
    from policy.model.document import Policy
    from policy.model.ports import Ports
    from policy.model.rules import Grant

__all__ = ["SymbolicOracle"]

Certain = bool | None
_DEFAULT_PROTOCOLS = (6, 17, 1, 58)


class SymbolicOracle:
    """Answers from the policy alone."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def reach(self, question: Question) -> Reach:
        """Answer for each thing that a source and a destination stand for."""
        sources = list(self._atoms(question.src))
        targets = list(self._atoms(question.target.selector))
        if not sources or not targets:
            empty = question.target.selector if sources else question.src
            return Reach(missing=f"nobody is {empty}")
        ports = list(self._sample_ports(question.target.ports))
        allowing: dict[Origin, None] = {}
        pairs = [
            [self._allows(source, target, port, question, allowing) for port in ports]
            for source in sources
            for target in targets
        ]
        # Any of the members of a group may be without a device, so they must all be alike.
        at_all = _agreed(_any(pair) for pair in pairs)
        return Reach(
            from_every=at_all,
            fully=_agreed(_all(pair) for pair in pairs),
            at_all=at_all,
            allowing=tuple(allowing),
        )

    def _atoms(self, selector: Selector) -> Iterator[Selector]:
        """Yield the members of a group of this policy, else the selector itself."""
        if isinstance(selector, Group) and selector.text in self._policy.groups:
            for login in self._policy.groups[selector.text].members:
                yield User(login)
        else:
            yield selector

    def _allows(
        self,
        src: Selector,
        dst: Selector,
        port: int,
        question: Question,
        allowing: dict[Origin, None],
    ) -> Certain:
        answer: Certain = False
        for rule in self._rules():
            holds = self._holds_source(rule, src, question)
            opened = _all((holds, self._opens(rule, dst, port, question)))
            if opened is not False:
                allowing[origin_of(rule)] = None
            answer = _any((answer, opened))
        return answer

    def _rules(self) -> Iterable[Grant | Acl]:
        rules = rules_in_force(self._policy)
        return (r for r in rules if isinstance(r, Acl) or not r.via)

    def _holds_source(self, rule: Grant | Acl, src: Selector, question: Question) -> Certain:
        postures = rule.src_posture or self._policy.default_src_posture
        if postures and (
            question.attributes is None
            or not satisfies_any(postures, self._policy.postures, question.attributes)
        ):
            return False
        return _any(self._covers_source(selector, src) for selector in rule.src)

    def _opens(self, rule: Grant | Acl, dst: Selector, port: int, question: Question) -> Certain:
        return _any(
            isinstance(selector, Wildcard) or self._covers(selector, dst)
            for selector, protocol, ports in _openings(rule)
            if any(n in (protocol or _DEFAULT_PROTOCOLS) for n in question.protocols)
            and ports.first <= port <= ports.last
        )

    def _covers(self, rule: Selector, asked: Selector) -> Certain:
        """Tell whether a rule's selector holds everything that an asked one stands for."""
        if isinstance(rule, Autogroup) and rule.name == "self":
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
        return self._name_covers(rule, asked)

    def _covers_source(self, rule: Selector, asked: Selector) -> Certain:
        if isinstance(rule, Autogroup) and rule.name == "danger-all":
            return True
        if not isinstance(rule, Wildcard):
            return self._covers(rule, asked)
        wanted = self._literal(asked)
        # Beside the tailnet `*` holds the subnets that routers bring in.
        return True if wanted is None or self._literals.all_in_wildcard(wanted) else None

    def _literal(self, selector: Selector) -> IpSet | None:
        """Return the addresses that a selector spells out; None for names of devices."""
        if isinstance(selector, Address | Cidr | HostAlias | IpSetName | Autogroup):
            return self._literals.addresses(selector)
        return None

    @cached_property
    def _literals(self) -> Literals:
        # Imported here: most small policies spell no addresses out, and start the faster.
        from engine.resolve.literals import Literals  # noqa: PLC0415

        return Literals(self._policy)

    def _name_covers(self, rule: Selector, asked: Selector) -> Certain:
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
                return _autogroup_covers(rule, asked)
            case Service():
                return None
            case _:
                # A tag against all tagged devices: there may be others.
                return None if asked == Autogroup("autogroup:tagged") else False

    def _sample_ports(self, asked: Iterable[Ports]) -> Iterator[int]:
        bounds = sorted(
            bound
            for rule in self._rules()
            for _, _, ports in _openings(rule)
            for bound in (ports.first, ports.last + 1)
        )
        for first, last in asked:
            yield first
            yield from dict.fromkeys(bound for bound in bounds if first < bound <= last)


def _openings(rule: Grant | Acl) -> Iterator[tuple[Selector, tuple[int, ...] | None, Ports]]:
    if isinstance(rule, Acl):
        protocol = None if rule.protocol is None else (rule.protocol,)
        for destination in rule.dst:
            for ports in destination.ports:
                yield destination.selector, protocol, ports
        return
    for selector in rule.dst:
        for spec in rule.ip:
            yield selector, None if spec.protocol is None else (spec.protocol,), spec.ports


def _is_several_users(selector: Selector) -> bool:
    """Whether a selector stands for users whose names are not known."""
    return isinstance(selector, Group | DomainUsers) or (
        isinstance(selector, Autogroup) and selector.name != "tagged"
    )


def _autogroup_covers(rule: Autogroup, asked: Selector) -> Certain:
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


def _all(answers: Iterable[Certain]) -> Certain:
    result: Certain = True
    for answer in answers:
        if answer is False:
            return False
        if answer is None:
            result = None
    return result


def _agreed(answers: Iterable[Certain]) -> Certain:
    """Return what all answers are, None where they differ."""
    known = set(answers)
    return known.pop() if len(known) == 1 else None


def _any(answers: Iterable[Certain]) -> Certain:
    result: Certain = False
    for answer in answers:
        if answer:
            return True
        if answer is None:
            result = None
    return result
