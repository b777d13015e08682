"""The schema of a test suite: the tests of a policy, and what only suites can ask."""

from __future__ import annotations

from policy.schema.cases import ssh_test_fields, test_fields
from policy.schema.parts import Schema, array_of, document, record, ref, string

__all__ = ["suite_schema"]

_DESCRIPTION = (
    "Tests of a policy, in a file of their own beside it. Field names match whatever their case,"
    " which this schema cannot express."
)


def suite_schema() -> Schema:
    """Return the schema of `*.test.hujson`."""
    sections = {
        "tests": array_of("Tests", "Access that must and must not be.", ref("test")),
        "sshTests": array_of("SSH tests", "Logins that must and must not be.", ref("sshTest")),
    }
    root = record("Test suite", _DESCRIPTION, sections)
    return document("Test suite", _DESCRIPTION, root, {"test": _test(), "sshTest": _ssh_test()})


def _test() -> Schema:
    fields = {
        "name": _NAME,
        **test_fields(_one_or_several("Sources", "All of them must satisfy the case.")),
        "via": _one_or_several(
            "Via", "Exit nodes or routers, any of which must carry the traffic.", "tag:exit"
        ),
        "capabilities": _one_or_several(
            "Capabilities", "What the sources must hold on every `on`.", "corp.test/cap/wiki"
        ),
        "noCapabilities": _one_or_several(
            "No capabilities", "What the sources must not hold on any `on`."
        ),
        "on": _one_or_several("On", "Where the capabilities are held.", "tag:wiki"),
    }
    return record(
        "Test",
        "What sources must and must not reach. Destinations may have port ranges, be networks or"
        " `autogroup:internet`: `accept` means all of it, `deny` none of it.",
        fields,
    )


def _ssh_test() -> Schema:
    fields = {
        "name": _NAME,
        **ssh_test_fields(
            _one_or_several("Sources", "All of them must satisfy the case."),
            _one_or_several("Destinations", "Users, tags, hosts or addresses.", "tag:web"),
        ),
    }
    return record("SSH test", "Which accounts sources must and must not be let into.", fields)


_NAME = string("Name", "What the case is called in reports.", "engineers reach staging")


def _one_or_several(title: str, description: str, *examples: str) -> Schema:
    return {
        "title": title,
        "description": description,
        "type": ["string", "array", "null"],
        "items": {"type": "string"},
        "examples": list(examples),
    }
