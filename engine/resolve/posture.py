"""Posture conditions on devices (policy reference 2.4)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from policy.model.definitions import Operator
from policy.model.postures import VERSION_ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from policy.model.definitions import Assertion, PostureDefinition

__all__ = ["compare_versions", "passes", "satisfies_any"]

Value = str | int | float | bool
_FIELDS = re.compile(r"(\D*)(\d*)")


def satisfies_any(
    names: Iterable[str],
    postures: Mapping[str, PostureDefinition],
    attributes: Mapping[str, Value],
) -> bool:
    """Tell whether a device passes any of the named postures; an undefined one never passes."""
    return any(name in postures and passes(postures[name], attributes) for name in names)


def passes(posture: PostureDefinition, attributes: Mapping[str, Value]) -> bool:
    """Tell whether every assertion holds. A posture without assertions passes."""
    return all(_holds(assertion, attributes) for assertion in posture.assertions)


def _holds(assertion: Assertion, attributes: Mapping[str, Value]) -> bool:
    actual = attributes.get(assertion.attribute)
    if actual is None or assertion.operator in (Operator.IS_SET, Operator.NOT_SET):
        # What is not set fails every comparison, `!=` and `NOT IN` too.
        return (assertion.operator is Operator.NOT_SET) == (actual is None) and (
            assertion.operator in (Operator.IS_SET, Operator.NOT_SET)
        )
    match assertion.operator:
        case Operator.EQUAL | Operator.IN:
            return any(_equal(assertion.attribute, actual, value) for value in assertion.values)
        case Operator.NOT_EQUAL | Operator.NOT_IN:
            return not any(_equal(assertion.attribute, actual, value) for value in assertion.values)
        case _:
            return _ordered(assertion, actual)


def _equal(attribute: str, actual: Value, wanted: Value) -> bool:
    if attribute in VERSION_ATTRIBUTES and isinstance(actual, str) and isinstance(wanted, str):
        return compare_versions(actual, wanted) == 0
    if isinstance(actual, bool) or isinstance(wanted, bool):
        return actual is wanted
    return actual == wanted


def _ordered(assertion: Assertion, actual: Value) -> bool:
    order = _order(actual, assertion.values[0], version=assertion.attribute in VERSION_ATTRIBUTES)
    if order is None:
        return False
    match assertion.operator:
        case Operator.LESS:
            return order < 0
        case Operator.LESS_OR_EQUAL:
            return order <= 0
        case Operator.GREATER:
            return order > 0
        case _:
            return order >= 0


def _order(actual: Value, wanted: Value, *, version: bool) -> int | None:
    """Return -1, 0 or 1; None where the two cannot be ordered, which fails the assertion."""
    if version:
        return compare_versions(str(actual), str(wanted))
    if any(isinstance(value, bool | str) for value in (actual, wanted)):
        return None
    return (actual > wanted) - (actual < wanted)  # type: ignore[operator]  # both are numbers


def compare_versions(a: str, b: str) -> int:
    """Compare field by field: text as text, digits as numbers; a shorter version sorts first."""
    ours, theirs = _fields(a), _fields(b)
    return (ours > theirs) - (ours < theirs)


def _fields(version: str) -> list[tuple[str, int]]:
    return [
        (text, int(digits[:18] or "0"))
        for text, digits in _FIELDS.findall(version)
        if text or digits
    ]
