"""An explanation as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from policy.cli.rule_places import rule_span
from policy.report.as_json import dump, place_to_json

if TYPE_CHECKING:
    from engine.explain import Explanation
    from engine.rules import Origin
    from policy.model.document import Policy

__all__ = ["explanation_json"]


def explanation_json(
    answer: Explanation, policy: Policy, src: str, dst: str, port: int | None
) -> str:
    """Return `{"verdict", "src", "dst", "port", "answers", "nearest", "notes"}`."""
    return dump(
        {
            "verdict": answer.verdict,
            "src": src,
            "dst": dst,
            "port": port,
            "answers": [
                {
                    "src": question.src,
                    "dst": question.dst,
                    "allowed": question.allowed,
                    "reason": question.reason,
                    "rules": [_rule(origin, policy) for origin in question.origins],
                }
                for question in answer.questions
            ],
            "nearest": [
                {**_rule(miss.origin, policy), "reasons": list(miss.reasons)}
                for miss in answer.nearest
            ],
            "notes": list(answer.notes),
        }
    )


def _rule(origin: Origin, policy: Policy) -> dict[str, Any]:
    span = rule_span(policy, origin)
    place = {} if span is None else place_to_json(policy.source, span)
    return {"section": origin.section, "position": origin.position, **place}
