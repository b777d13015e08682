"""One random policy with one random inventory, loaded, compiled and ready to be asked.

Everything draws from a `random.Random`: a bulk run seeds its own, a property passes the one that
hypothesis makes, which shrinks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from engine.compile.network import CompiledNetwork
from engine.evaluate import FilterEvaluator, Flow
from engine.inventory import read_inventory
from policy.load import load
from policy.source import Source
from tests.support.oracle.literal import Asked, LiteralOracle
from tests.support.policies.documents import random_policy
from tests.support.policies.flows import FlowMaker
from tests.support.policies.inventories import random_inventory

if TYPE_CHECKING:
    from random import Random

    from engine.directory import Directory
    from policy.model.document import Policy


@dataclass(frozen=True)
class Scenario:
    """A policy and an inventory, as written and as the engine sees them."""

    document: dict[str, Any]
    inventory: dict[str, Any]

    @cached_property
    def policy(self) -> Policy:
        return loaded(self.document, frozenset(self.inventory["domains"]))

    @cached_property
    def directory(self) -> Directory:
        return read_inventory(json.dumps(self.inventory))

    @cached_property
    def network(self) -> CompiledNetwork:
        return CompiledNetwork(self.policy, self.directory)

    @cached_property
    def oracle(self) -> LiteralOracle:
        return LiteralOracle(self.document, self.inventory)

    @cached_property
    def flows(self) -> FlowMaker:
        return FlowMaker(self.document, self.inventory)

    @cached_property
    def _evaluators(self) -> list[FilterEvaluator]:
        return [FilterEvaluator(rules) for rules in self.network.packet_filters]

    def evaluator(self, receiver: str) -> FilterEvaluator:
        """Return the evaluator of a device's compiled filter."""
        return self._evaluators[self.directory.by_hostname[receiver].index]

    def allows(self, asked: Asked) -> bool:
        """Ask the engine what the oracle is asked."""
        return self.evaluator(asked.receiver).allows(as_flow(asked))


def as_flow(asked: Asked) -> Flow:
    """Return a question of the oracle in the engine's words."""
    return Flow.of(asked.src, asked.dst, asked.proto, asked.port)


def loaded(document: dict[str, Any], domains: frozenset[str] | None = None) -> Policy:
    """Load a policy that is meant to be valid."""
    result = load(Source("random.hujson", json.dumps(document)), domains=domains)
    assert result.policy is not None, [str(d.message) for d in result.diagnostics]
    return result.policy


def random_scenario(rng: Random) -> Scenario:
    """Return a random policy with a random inventory."""
    return Scenario(random_policy(rng), random_inventory(rng))


randoms = st.randoms(use_true_random=False)


def scenarios() -> st.SearchStrategy[Scenario]:
    """Draw scenarios by the same generator as bulk runs do."""
    return randoms.map(random_scenario)
