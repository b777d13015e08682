"""`/machine/postern/reach`: a node asks what it may reach. Ours; other servers answer 404.

A node's own filter says who may come in; where the node may go stands in the filters of others.
It asks for its own part of them when its user does, so that nobody is sent it unasked.
"""

# ruff: noqa: RUF009  (the calls in field defaults declare fields; they make no values)

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from control.keys import NodePublic
from control.wire._codec import Codec, Json, Message, WireError, always, list_of, message, required
from control.wire._scalars import INT, NODE_KEY
from engine.rules import FilterRule, MalformedRuleError

__all__ = ["REACH_PATH", "Reach", "ReachRequest", "ReachResponse"]

REACH_PATH: Final = "/machine/postern/reach"


def _rule(value: Json, where: str) -> FilterRule:
    try:
        return FilterRule.from_wire(value)
    except MalformedRuleError as error:
        raise WireError(f"{where}: {error}") from None


RULE: Final[Codec[FilterRule]] = Codec(lambda rule: rule.to_wire(with_origins=True), _rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachRequest(Message):
    """Asks for oneself; the machine key of the connection must be the node's."""

    version: int = always("Version", INT, zero=0)
    node_key: NodePublic = always("NodeKey", NODE_KEY, zero=NodePublic.zero())


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach(Message):
    """Some nodes let the asking one in by the same rule."""

    node_ids: tuple[int, ...] = required("Nodes", list_of(INT))
    rule: FilterRule = required("Rule", RULE)
    """Its sources are addresses of the asking node, its destinations may be those of
    `engine.rules.OWN_ADDRESS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachResponse(Message):
    """Everything that the asking node may reach."""

    reach: tuple[Reach, ...] = always("Reach", list_of(message(Reach)), zero=())
