"""An explanation for people, with the rules as they stand in the policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.cli.rule_places import rule_span
from policy.report.excerpt import excerpt
from policy.report.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.explain import Explanation
    from engine.rules import Origin
    from policy.model.document import Policy
    from policy.report.style import Style

__all__ = ["explanation_text"]

_SHOWN = 8
"""How many pairs of addresses with one and the same answer are listed."""


def explanation_text(answer: Explanation, policy: Policy, question: str, style: Style) -> str:
    """Return the verdict, the reasons by address, and the rules that matter."""
    lines = [f"{style.bold(answer.verdict)}: {one_line(question)}", *_answers(answer)]
    allowing = dict.fromkeys(origin for asked in answer.questions for origin in asked.origins)
    if allowing:
        lines.extend(("", "allowed by:"))
        for origin in allowing:
            lines.extend(_rule(origin, policy, style))
    if answer.nearest:
        lines.extend(("", "nearest rules:"))
        for miss in answer.nearest:
            lines.extend(_rule(miss.origin, policy, style))
            lines.extend(f"    does not match: {one_line(reason)}" for reason in miss.reasons)
    if answer.notes:
        lines.append("")
        lines.extend(f"note: {one_line(note)}" for note in answer.notes)
    return "\n".join(lines) + "\n"


def _answers(answer: Explanation) -> Iterator[str]:
    for asked in answer.questions[:_SHOWN]:
        verdict = "allowed" if asked.allowed else "denied"
        yield one_line(f"  {asked.src} -> {asked.dst}: {verdict}, {asked.reason}")
    more = len(answer.questions) - _SHOWN
    if more > 0:
        allowed = sum(asked.allowed for asked in answer.questions[_SHOWN:])
        yield f"  and {more} more pairs of addresses, {allowed} of them allowed"


def _rule(origin: Origin, policy: Policy, style: Style) -> Iterator[str]:
    span = rule_span(policy, origin)
    if span is None:
        yield "  the default: a policy with neither acls nor grants allows everything"
        return
    line, column, *_ = policy.source.position(span.start)
    place = f"{one_line(policy.source.name)}:{line}:{column}"
    yield f"  {origin.section}[{origin.position}] {style.margin('-->')} {place}"
    yield from (f"  {shown}" for shown in excerpt(policy.source, span, style, mark="")[1:])
