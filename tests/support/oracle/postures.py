"""Posture assertions, read and judged from their text (policy reference 2.4)."""

from __future__ import annotations

import re
from typing import Any

_COMPARISON = re.compile(r"(\S+) (==|!=|<=|>=|<|>) (.+)")
_LIST = re.compile(r"(\S+) (IN|NOT IN) \[(.*)\]")
_PRESENCE = re.compile(r"(\S+) (IS SET|NOT SET)")
_VERSIONS = ("node:osVersion", "node:tsVersion")


def passes_any(names: list[str], defined: dict[str, Any], attributes: dict[str, Any]) -> bool:
    """Tell whether any of some postures passes."""
    return any(passes(_assertions(defined[name]), attributes) for name in names)


def _assertions(posture: Any) -> list[str]:
    return list(posture["assertions"] if isinstance(posture, dict) else posture)


def passes(assertions: list[str], attributes: dict[str, Any]) -> bool:
    return all(holds(assertion, attributes) for assertion in assertions)


def holds(assertion: str, attributes: dict[str, Any]) -> bool:
    presence = _PRESENCE.fullmatch(assertion)
    if presence:
        return (presence[1] in attributes) == (presence[2] == "IS SET")
    listed = _LIST.fullmatch(assertion)
    if listed:
        if listed[1] not in attributes:
            return False
        wanted = [_value(text.strip()) for text in listed[3].split(",")]
        found = any(_same(attributes[listed[1]], value) for value in wanted)
        return found == (listed[2] == "IN")
    comparison = _COMPARISON.fullmatch(assertion)
    assert comparison, assertion
    name, operator, text = comparison.groups()
    if name not in attributes:
        return False
    return _compare(name, attributes[name], operator, _value(text))


def _value(text: str) -> Any:
    if text.startswith("'"):
        return text.strip("'")
    if text in {"true", "false"}:
        return text == "true"
    return float(text)


def _same(actual: Any, wanted: Any) -> bool:
    return isinstance(actual, bool) == isinstance(wanted, bool) and bool(actual == wanted)


def _compare(name: str, actual: Any, operator: str, wanted: Any) -> bool:
    if operator == "==":
        return _same(actual, wanted)
    if operator == "!=":
        return not _same(actual, wanted)
    if name in _VERSIONS:
        actual, wanted = _fields(str(actual)), _fields(str(wanted))
    elif any(isinstance(value, bool | str) for value in (actual, wanted)):
        return False
    below, same = actual < wanted, actual == wanted
    return bool(
        {"<": below, "<=": below or same, ">": not below and not same, ">=": not below}[operator]
    )


def _fields(version: str) -> list[str | int]:
    """Split into text, number, text, number ...; an empty number is 0."""
    fields: list[str | int] = []
    while version:
        text = version[: len(version) - len(version.lstrip("abcdefghijklmnopqrstuvwxyz.-"))]
        version = version[len(text) :]
        digits = version[: len(version) - len(version.lstrip("0123456789"))]
        version = version[len(digits) :]
        fields.extend((text, int(digits or "0")))
    return fields
