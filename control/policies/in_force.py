"""Which policy is in force, and how another one takes its place.

A text is checked as a whole, with its own tests, against the tailnet as it is. One that fails
changes nothing. At the start the newest stored version that still loads is served; where none
does, everything is denied, and the reason is there for the log and for operators.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from control.errors import ControlError
from engine.testing.run import run_tests
from policy.diagnostics.diagnostic import Severity
from policy.load import load
from policy.source import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from control.store.records import PolicyVersion
    from engine.directory import Directory
    from policy.diagnostics.diagnostic import Diagnostic
    from policy.model.document import Policy

__all__ = [
    "ALLOW_ALL_TEXT",
    "DENY_ALL_TEXT",
    "Checked",
    "InForce",
    "PolicyRefusedError",
    "check_policy",
    "choose_stored",
    "etag_of",
    "problems_of_tests",
]

ALLOW_ALL_TEXT: Final = "{}\n"
"""A tailnet that never had a policy: the language's default, which lets every node reach every
other (policy reference 4.1)."""
DENY_ALL_TEXT: Final = '{"acls": []}\n'


class PolicyRefusedError(ControlError):
    """A policy that does not load or fails its own tests; `problems` says where and why."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("policy refused: " + "; ".join(problems))
        self.problems = tuple(problems)


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


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of a text."""

    policy: Policy | None
    problems: tuple[str, ...]
    """Errors and failed tests, with their places."""
    warnings: tuple[str, ...]


def etag_of(text: str) -> str:
    """Return the entity tag of a policy text."""
    return f'"{hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()}"'


def check_policy(text: str, directory: Directory | None, *, name: str = "policy") -> Checked:
    """Load a text and run its tests against a directory, if there is one."""
    loaded = load(Source(name, text))
    problems = [_spelled(d) for d in loaded.diagnostics if d.severity is Severity.ERROR]
    warnings = [_spelled(d) for d in loaded.diagnostics if d.severity is Severity.WARNING]
    if loaded.policy is not None and directory is not None:
        problems.extend(problems_of_tests(loaded.policy, directory))
    policy = None if problems else loaded.policy
    return Checked(policy, tuple(problems), tuple(warnings))


def problems_of_tests(policy: Policy, directory: Directory) -> list[str]:
    """Return what a policy's own tests find against a directory."""
    report = run_tests(policy, directory, policy.tests, policy.ssh_tests)
    return [
        _spelled(diagnostic)
        for result in report.results
        for diagnostic in result.diagnostics
        if diagnostic.severity is Severity.ERROR
    ]


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


def _spelled(diagnostic: Diagnostic) -> str:
    place = diagnostic.position
    return (
        f"{diagnostic.source.name}:{place.line}:{place.column}: "
        f"{diagnostic.code} {diagnostic.message}"
    )
