"""`tests` and `sshTests`. Whether a case makes sense is decided when it is evaluated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.lower.fields import Fields
from policy.model.cases import SshTestCase, TestCase
from policy.model.selectors import Autogroup, Cidr, Tag, parse_selector

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from policy.diagnostics.diagnostic import Collector
    from policy.hujson.tree import Object
    from policy.lower.places import SelectorReader
    from policy.model.term import Term

__all__ = ["check_ssh_destinations", "lower_ssh_tests", "lower_tests"]

_TEST_FIELDS = {
    "src": "src",
    "user": "src",
    "proto": "proto",
    "accept": "accept",
    "allow": "accept",
    "deny": "deny",
    "srcpostureattrs": "srcPostureAttrs",
}
_SSH_TEST_FIELDS = {
    "src": "src",
    "dst": "dst",
    "accept": "accept",
    "check": "check",
    "deny": "deny",
    "srcpostureattrs": "srcPostureAttrs",
}


def lower_tests(objects: Iterable[Object], found: Collector) -> tuple[TestCase, ...]:
    """Read the entries of a policy's own `tests`."""
    return tuple(_test(place, node, found) for place, node in enumerate(objects))


def _test(position: int, node: Object, found: Collector) -> TestCase:
    fields = Fields(node, _TEST_FIELDS, found)
    protocol = fields.string("proto")
    return TestCase(
        source=found.source,
        position=position,
        span=node.span,
        name=None,
        src=one(fields.string("src")),
        protocol=protocol.text if protocol and protocol.text else None,
        accept=tuple(fields.strings("accept")),
        deny=tuple(fields.strings("deny")),
        posture_attributes=posture_attributes(fields),
    )


def lower_ssh_tests(objects: Iterable[Object], found: Collector) -> tuple[SshTestCase, ...]:
    """Read the entries of a policy's own `sshTests`."""
    return tuple(_ssh_test(place, node, found) for place, node in enumerate(objects))


def _ssh_test(position: int, node: Object, found: Collector) -> SshTestCase:
    fields = Fields(node, _SSH_TEST_FIELDS, found)
    return SshTestCase(
        source=found.source,
        position=position,
        span=node.span,
        name=None,
        src=one(fields.string("src")),
        dst=tuple(fields.strings("dst")),
        accept=tuple(fields.strings("accept")),
        check=tuple(fields.strings("check")),
        deny=tuple(fields.strings("deny")),
        posture_attributes=posture_attributes(fields),
    )


def one(term: Term | None) -> tuple[Term, ...]:
    """Return the single source of a case; an empty one counts as none."""
    return (term,) if term is not None and term.text else ()


def posture_attributes(fields: Fields) -> dict[str, str | int | float | bool] | None:
    """Read `srcPostureAttrs`; None where absent."""
    if fields.object("srcPostureAttrs") is None:
        return None
    attributes: dict[str, str | int | float | bool] = {}
    for name, value in fields.entries("srcPostureAttrs"):
        attribute = getattr(value, "value", None)
        if isinstance(attribute, str | int | float | bool):
            attributes[name.value] = attribute
        else:
            fields.wrong_type(value, f'srcPostureAttrs["{name.value}"]', "a single value")
    return attributes


def check_ssh_destinations(
    cases: Iterable[SshTestCase], tags: Collection[str], reader: SelectorReader
) -> None:
    """Report destinations of a kind that an ssh test cannot have (policy reference 2.5)."""
    for case in cases:
        for term in case.dst:
            selector = parse_selector(term.text)
            if isinstance(selector, Cidr) or (
                isinstance(selector, Autogroup) and selector.name == "internet"
            ):
                reader.found.meaning(
                    "POL411",
                    f'SSH tests dst contains disallowed element "{term.text}"',
                    term.span,
                    help="name a user, a tag, a host or an address",
                )
            elif isinstance(selector, Tag) and selector.text not in tags:
                reader.found.meaning(
                    "POL411",
                    f'SSH tests dst contains unknown tag "{term.text}"',
                    term.span,
                    help="an ssh test names no port; define the tag in `tagOwners`",
                )
