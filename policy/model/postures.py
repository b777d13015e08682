"""Posture assertions: `attribute operator value` (policy reference 2.4)."""

from __future__ import annotations

from functools import lru_cache

from policy.model.definitions import Assertion, Operator
from policy.model.grammar import UnexpectedTextError, parse_assertion
from policy.model.ports import PolicyValueError

__all__ = ["VERSION_ATTRIBUTES", "parse_posture_assertion"]

VERSION_ATTRIBUTES = frozenset({"node:osVersion", "node:tsVersion"})
"""Attributes whose text is ordered as a version."""

_ORDERED = frozenset(
    {Operator.LESS, Operator.LESS_OR_EQUAL, Operator.GREATER, Operator.GREATER_OR_EQUAL}
)
_BY_SHAPE = {
    "one_of": Operator.IN,
    "none_of": Operator.NOT_IN,
    "is_set": Operator.IS_SET,
    "not_set": Operator.NOT_SET,
}


@lru_cache(maxsize=1 << 16)
def parse_posture_assertion(text: str) -> Assertion:
    """Parse one assertion. Raises PolicyValueError."""
    try:
        tree = parse_assertion(text)
    except UnexpectedTextError as error:
        what = f'at "{text[error.at :]}"' if text[error.at :] else "at its end"
        raise PolicyValueError(f'"{text}": invalid assertion {what}') from None
    attribute, *rest = tree.children
    values: tuple[str | float | bool, ...] = ()
    if tree.data == "comparison":
        operator = Operator(str(rest[0]))
        values = (_value(str(rest[1])),)
    else:
        operator = _BY_SHAPE[tree.data]
        if rest and not isinstance(rest[0], str):
            values = tuple(_value(str(item)) for item in rest[0].children)
    _check_ordering(text, str(attribute), operator, values)
    return Assertion(str(attribute), operator, values)


def _value(text: str) -> str | float | bool:
    if text[0] == "'":
        return text[1:-1]
    if text in {"true", "false"}:
        return text == "true"
    return float(text) if "." in text else int(text[:32])


def _check_ordering(
    text: str, attribute: str, operator: Operator, values: tuple[str | float | bool, ...]
) -> None:
    if operator not in _ORDERED or attribute in VERSION_ATTRIBUTES:
        return
    if isinstance(values[0], str | bool):
        raise PolicyValueError(
            f'"{text}": only versions and numbers are ordered; use == or IN for "{attribute}"'
        )
