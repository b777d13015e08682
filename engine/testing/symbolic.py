"""The oracle without an inventory: what holds on every tailnet, as far as that can be known.

Answers are True, False or None (`engine.testing.coverage`).
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from engine.compile.openings import Opening, openings_of
from engine.compile.origins import origin_of, rules_in_force
from engine.resolve.posture import satisfies_any
from engine.testing.coverage import Certain, Coverage
from engine.testing.oracle import Question, Reach
from engine.testing.samples import PortSamples
from policy.model.rules import Acl
from policy.model.selectors import Autogroup, Group, Selector, Tag, User

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.origin import Origin
    from policy.model.document import Policy
    from policy.model.rules import Grant

__all__ = ["SymbolicOracle"]


_SELF = Autogroup("autogroup:self")


class _Rule(NamedTuple):
    """What tests ask of a rule."""

    origin: Origin
    postures: tuple[str, ...]
    openings: tuple[Opening, ...]


class SymbolicOracle:
    """Answers from the policy alone."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._coverage = Coverage(policy)
        self._rules: list[_Rule] = []
        self._by_source: dict[Selector, list[int]] = {}
        for rule in rules_in_force(policy):
            if isinstance(rule, Acl) or not rule.via:
                self._add(rule)

    def _add(self, rule: Grant | Acl) -> None:
        for selector in dict.fromkeys(rule.src):
            self._by_source.setdefault(selector, []).append(len(self._rules))
        postures = rule.src_posture or self._policy.default_src_posture
        self._rules.append(_Rule(origin_of(rule), postures, tuple(openings_of(rule))))

    def reach(self, question: Question) -> Reach:
        """Answer for each thing that a source and a destination stand for."""
        sources = list(self._atoms(question.src))
        targets = list(self._atoms(question.target.selector))
        if not sources or not targets:
            empty = question.target.selector if sources else question.src
            return Reach(missing=f"nobody is {empty}")
        ports = self._ports.of(question.target.ports)
        allowing: dict[int, None] = {}
        pairs: list[list[Certain]] = []
        for source in sources:
            rules = self._rules_of(source, question)
            pairs.extend(
                [self._allows(rules, (source, target), port, question, allowing) for port in ports]
                for target in targets
            )
        # Any of the members of a group may be without a device, so they must all be alike.
        at_all = _agreed(_any(pair) for pair in pairs)
        return Reach(
            from_every=at_all,
            fully=_agreed(_all(pair) for pair in pairs),
            at_all=at_all,
            allowing=tuple(self._rules[number].origin for number in sorted(allowing)),
        )

    def _atoms(self, selector: Selector) -> Iterator[Selector]:
        """Yield the members of a group of this policy, else the selector itself."""
        if isinstance(selector, Group) and selector.text in self._policy.groups:
            for login in self._policy.groups[selector.text].members:
                yield User(login)
        else:
            yield selector

    def _rules_of(self, asked: Selector, question: Question) -> dict[int, Certain]:
        """Return the rules that may hold a source: True for those that do, None for the rest."""
        held: dict[int, Certain] = {}
        for selector in self._candidates(asked):
            holds = self._coverage.as_source(selector, asked)
            if holds is not False:
                for number in self._by_source[selector]:
                    held[number] = holds or held.get(number)
        return {n: held[n] for n in held if self._passes(self._rules[n], question)}

    def _candidates(self, asked: Selector) -> Iterator[Selector]:
        """Yield the sources of rules that may hold an asked one.

        For the name of a user or tag that is the name itself and the user's groups, which are
        looked up, and the few selectors of other kinds.
        """
        if not isinstance(asked, User | Tag):
            yield from self._by_source
            return
        yield from self._collective
        if isinstance(asked, User):
            yield from self._groups_of.get(asked.text, ())
        if asked in self._by_source:
            yield asked

    @cached_property
    def _collective(self) -> list[Selector]:
        defined = self._policy.groups
        return [
            selector
            for selector in self._by_source
            if not isinstance(selector, User | Tag)
            and not (isinstance(selector, Group) and selector.text in defined)
        ]

    @cached_property
    def _groups_of(self) -> dict[str, list[Selector]]:
        """For each login, the sources of rules that are groups with it."""
        groups: dict[str, list[Selector]] = {}
        for selector in self._by_source:
            if isinstance(selector, Group) and selector.text in self._policy.groups:
                for login in dict.fromkeys(self._policy.groups[selector.text].members):
                    groups.setdefault(login, []).append(selector)
        return groups

    def _passes(self, rule: _Rule, question: Question) -> bool:
        return not rule.postures or (
            question.attributes is not None
            and satisfies_any(rule.postures, self._policy.postures, question.attributes)
        )

    def _allows(
        self,
        rules: dict[int, Certain],
        pair: tuple[Selector, Selector],
        port: int,
        question: Question,
        allowing: dict[int, None],
    ) -> Certain:
        answer: Certain = False
        for number, holds in rules.items():
            opened = _all((holds, self._opens(self._rules[number], pair, port, question)))
            if opened is not False:
                allowing[number] = None
            answer = _any((answer, opened))
        return answer

    def _opens(
        self, rule: _Rule, pair: tuple[Selector, Selector], port: int, question: Question
    ) -> Certain:
        return _any(
            self._covers(opening.selector, pair, question)
            for opening in rule.openings
            if opening.has(question.protocols, port)
        )

    def _covers(
        self, rule: Selector, pair: tuple[Selector, Selector], question: Question
    ) -> Certain:
        src, dst = pair
        if question.own_devices and rule == _SELF:
            if isinstance(src, User) and isinstance(dst, User):
                return src == dst
            return False if isinstance(src, Tag) or isinstance(dst, Tag) else None
        return self._coverage.as_destination(rule, dst)

    @cached_property
    def _ports(self) -> PortSamples:
        return PortSamples(opening.ports for rule in self._rules for opening in rule.openings)


def _all(answers: Iterable[Certain]) -> Certain:
    result: Certain = True
    for answer in answers:
        if answer is False:
            return False
        if answer is None:
            result = None
    return result


def _any(answers: Iterable[Certain]) -> Certain:
    result: Certain = False
    for answer in answers:
        if answer:
            return True
        if answer is None:
            result = None
    return result


def _agreed(answers: Iterable[Certain]) -> Certain:
    """Return what all answers are, None where they differ."""
    known = set(answers)
    return known.pop() if len(known) == 1 else None
