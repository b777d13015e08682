"""Which policy is in force, and how another one takes its place.

A text is checked as a whole, with its own tests, against the tailnet as it is. One that fails
changes nothing. At the start the newest stored version that still loads is served; where none
does, everything is denied, and the reason is there for the log and for operators.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from control.errors import ControlError
from control.policies.checking import check_policy
from policy.hujson.format import FormatError, format_source
from policy.source import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from control.policies.checking import Checked
    from control.store.records import PolicyVersion
    from policy.model.document import Policy

__all__ = [
    "ALLOW_ALL_TEXT",
    "DENY_ALL_TEXT",
    "InForce",
    "PolicyRefusedError",
    "choose_stored",
    "etag_of",
]

ALLOW_ALL_TEXT: Final = "{}\n"
"""A tailnet that never had a policy: the language's default, which lets every node reach every
other (policy reference 4.1)."""
DENY_ALL_TEXT: Final = '{"acls": []}\n'


class PolicyRefusedError(ControlError):
    """A policy that does not load or fails its own tests; `problems` says where and why."""

    def __init__(self, checked: Checked) -> None:
        super().__init__("policy refused: " + "; ".join(checked.problems))
        self.checked = checked
        self.problems = checked.problems


@dataclass(frozen=True, slots=True)
class InForce:
    """The policy that is compiled into netmaps."""

    policy: Policy
    text: str
    version: int
    """Number of the stored version, 0 for one that is not stored."""
    warning: str = ""
    """Why this is not the policy that should be in force; empty where it is."""

    @property
    def etag(self) -> str:
        """Name of the text for conditional requests, quoted."""
        return etag_of(self.text)


@lru_cache(maxsize=8)
def etag_of(text: str) -> str:
    """Return the entity tag of a policy text.

    It is that of the text in the standard layout, which is what tools that push policies from a
    repository compare with their own file: they need not push what differs in layout only.
    """
    # What cannot be laid out is compared as it is.
    with suppress(FormatError):
        text = format_source(Source("policy", text))
    return f'"{hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()}"'


def choose_stored(versions: Sequence[PolicyVersion]) -> InForce:
    """Return what to serve at the start; `versions` are the newest ones, newest first.

    Failing tests do not keep a stored policy out: they passed when it was set, and what changed
    since is told as a warning elsewhere.
    """
    if not versions:
        return _trusted(ALLOW_ALL_TEXT, 0, "")
    problems: list[str] = []
    for version in versions:
        checked = check_policy(version.text, None, name=f"policy version {version.id}")
        if checked.policy is not None:
            warning = "" if version is versions[0] else _fallback_warning(versions[0], problems)
            return InForce(checked.policy, version.text, version.id, warning)
        problems.extend(checked.problems)
    warning = "no stored policy loads, so everything is denied: " + "; ".join(problems[:3])
    return _trusted(DENY_ALL_TEXT, 0, warning)


def _fallback_warning(newest: PolicyVersion, problems: Sequence[str]) -> str:
    return (
        f"policy version {newest.id} does not load, so the last good version is served: "
        + "; ".join(problems[:3])
    )


def _trusted(text: str, version: int, warning: str) -> InForce:
    policy = check_policy(text, None).policy
    if policy is None:
        raise AssertionError("the built-in policies load")
    return InForce(policy, text, version, warning)
