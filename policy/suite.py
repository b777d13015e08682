"""Test suites in files of their own, `*.test.hujson` beside a policy.

A suite is an object with `tests` and `sshTests`. Its entries have the fields of a policy's own
tests, and more: a `name`, several sources, port lists and ranges, networks and
`autogroup:internet` as destinations, `via` for who must carry the traffic, and `capabilities` and
`noCapabilities` held `on` some devices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from policy.diagnostics.diagnostic import Collector, Diagnostic
from policy.hujson.parse import parse
from policy.hujson.tree import Object, String
from policy.load import report_syntax
from policy.lower.cases import posture_attributes
from policy.lower.fields import Fields, describe, term
from policy.model.cases import SshTestCase, TestCase

if TYPE_CHECKING:
    from policy.model.term import Term
    from policy.source import Source

__all__ = ["LoadedSuite", "load_suite"]

_SUITE_FIELDS = {"tests": "tests", "sshtests": "sshTests"}
_TEST_FIELDS = {
    "name": "name",
    "src": "src",
    "user": "src",
    "proto": "proto",
    "accept": "accept",
    "allow": "accept",
    "deny": "deny",
    "via": "via",
    "capabilities": "capabilities",
    "nocapabilities": "noCapabilities",
    "on": "on",
    "srcpostureattrs": "srcPostureAttrs",
}
_SSH_TEST_FIELDS = {
    "name": "name",
    "src": "src",
    "dst": "dst",
    "accept": "accept",
    "check": "check",
    "deny": "deny",
    "srcpostureattrs": "srcPostureAttrs",
}


class LoadedSuite(NamedTuple):
    """What became of a suite's text. Cases are empty where any diagnostic is an error."""

    tests: tuple[TestCase, ...]
    ssh_tests: tuple[SshTestCase, ...]
    diagnostics: tuple[Diagnostic, ...]


def load_suite(source: Source) -> LoadedSuite:
    """Parse a suite. Any text gives cases or diagnostics, never an exception."""
    parsed = parse(source)
    found = Collector(source)
    report_syntax(parsed, found)
    tests: tuple[TestCase, ...] = ()
    ssh_tests: tuple[SshTestCase, ...] = ()
    if isinstance(parsed.root, Object):
        suite = Fields(parsed.root, _SUITE_FIELDS, found)
        tests = tuple(
            _test(place, node, found) for place, node in enumerate(suite.objects("tests") or ())
        )
        ssh_tests = tuple(
            _ssh_test(place, node, found)
            for place, node in enumerate(suite.objects("sshTests") or ())
        )
    elif parsed.root is not None:
        words = f"suite: expected an object, found {describe(parsed.root)}"
        found.shape("POL201", words, parsed.root.span)
    if found.has_errors:
        return LoadedSuite((), (), tuple(found))
    return LoadedSuite(tests, ssh_tests, tuple(found))


def _test(position: int, node: Object, found: Collector) -> TestCase:
    fields = Fields(node, _TEST_FIELDS, found)
    protocol = fields.string("proto")
    name = fields.string("name")
    return TestCase(
        source=found.source,
        position=position,
        span=node.span,
        name=name.text if name else None,
        src=_one_or_several(fields, "src"),
        protocol=protocol.text if protocol and protocol.text else None,
        accept=tuple(fields.strings("accept")),
        deny=tuple(fields.strings("deny")),
        posture_attributes=posture_attributes(fields),
        via=_one_or_several(fields, "via"),
        capabilities=_one_or_several(fields, "capabilities"),
        no_capabilities=_one_or_several(fields, "noCapabilities"),
        on=_one_or_several(fields, "on"),
        suite=True,
    )


def _ssh_test(position: int, node: Object, found: Collector) -> SshTestCase:
    fields = Fields(node, _SSH_TEST_FIELDS, found)
    name = fields.string("name")
    return SshTestCase(
        source=found.source,
        position=position,
        span=node.span,
        name=name.text if name else None,
        src=_one_or_several(fields, "src"),
        dst=_one_or_several(fields, "dst"),
        accept=tuple(fields.strings("accept")),
        check=tuple(fields.strings("check")),
        deny=tuple(fields.strings("deny")),
        posture_attributes=posture_attributes(fields),
    )


def _one_or_several(fields: Fields, field: str) -> tuple[Term, ...]:
    node = fields.get(field)
    if isinstance(node, String):
        return (term(node),)
    return tuple(fields.strings(field))
