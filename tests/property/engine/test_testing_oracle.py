"""Policy tests against the literal oracle, and against themselves without an inventory."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings

from engine.testing.access import AccessOracle
from engine.testing.oracle import Question
from engine.testing.questions import Target
from engine.testing.report import Outcome
from engine.testing.run import run_tests
from engine.testing.symbolic import SymbolicOracle
from policy.model.ports import Ports
from policy.model.selectors import parse_selector
from tests.support.oracle.cases import LiteralCases
from tests.support.policies.cases import PARTIES, random_case
from tests.support.policies.documents import random_policy
from tests.support.policies.inventories import random_inventory
from tests.support.policies.scenario import Scenario, random_scenario, randoms
from tests.support.policies.vocabulary import ATTRIBUTES

if TYPE_CHECKING:
    from policy.model.selectors import Selector

quiet = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.data_too_large])


def check_cases(rng: Random, count: int = 6) -> Counter[Outcome]:
    """Run random tests of a random policy and compare what becomes of each."""
    scenario = random_scenario(rng)
    tests = [random_case(rng) for _ in range(count)]
    tested = Scenario(scenario.document | {"tests": tests}, scenario.inventory)
    literal = LiteralCases(tested.oracle)
    report = run_tests(tested.policy, tested.directory, tested.policy.tests, ())
    for entry, result in zip(tests, report.results, strict=True):
        wanted = Outcome.PASSED if literal.passes(entry) else Outcome.FAILED
        assert result.outcome is wanted, (entry, result.diagnostics, tested)
    return Counter(result.outcome for result in report.results)


def check_without_inventory(rng: Random) -> Counter[bool | None]:
    """Compare what is said of every tailnet with what is so on some."""
    document = random_policy(rng)
    tailnets = [Scenario(document, random_inventory(rng, most_tags=1)) for _ in range(3)]
    certain = SymbolicOracle(tailnets[0].policy)
    exact = [AccessOracle(tailnets[0].policy, tailnet.directory) for tailnet in tailnets]
    seen: Counter[bool | None] = Counter()
    for _ in range(6):
        question = random_question(rng)
        said = certain.reach(question)
        seen[said.from_every] += 1
        for tailnet, oracle in zip(tailnets, exact, strict=True):
            found = oracle.reach(question)
            if said.missing is not None or found.missing is not None:
                continue
            for claim, fact in zip(said[:3], found[:3], strict=True):
                assert claim in (None, fact), (question, said, found, tailnet)
    return seen


def random_question(rng: Random) -> Question:
    """Return a question about one port or a range, with or without posture attributes."""
    first = rng.choice((1, 22, 80, 443, 8000))
    last = rng.choice((first, first, first + 1, first + 80))
    attributes = {name: rng.choice(values) for name, values in ATTRIBUTES.items()}
    return Question(
        src=_selector(rng.choice(PARTIES)),
        target=Target(_selector(rng.choice(PARTIES)), (Ports(first, last),)),
        protocols=rng.choice(((6, 17), (6,), (17,), (132,))),
        attributes=rng.choice((None, attributes)),  # type: ignore[arg-type]  # plain scalars
    )


def _selector(text: str) -> Selector:
    selector = parse_selector(text)
    assert selector is not None
    return selector


@given(randoms)
@quiet
def test_a_case_passes_when_the_rules_say_so_one_by_one(rng: Random) -> None:
    check_cases(rng)


@given(randoms)
@quiet
def test_what_is_certain_without_an_inventory_holds_with_any(rng: Random) -> None:
    check_without_inventory(rng)


@pytest.mark.soak
def test_cases_agree_on_a_bulk() -> None:
    rng = Random(20260404)  # noqa: S311  seeded test data, no secret
    seen: Counter[Outcome] = Counter()
    while seen.total() < 30_000:
        seen += check_cases(rng, 20)
    assert set(seen) == {Outcome.PASSED, Outcome.FAILED}
    assert min(seen.values()) > 0.1 * seen.total(), seen


@pytest.mark.soak
def test_certainty_holds_on_a_bulk_of_tailnets() -> None:
    rng = Random(20260505)  # noqa: S311  seeded test data, no secret
    seen: Counter[bool | None] = Counter()
    while seen.total() < 15_000:
        seen += check_without_inventory(rng)
    # Who never commits is never wrong.
    assert min(seen.values()) > 0.04 * seen.total(), seen
