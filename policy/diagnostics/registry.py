"""Every diagnostic code, declared once.

A code is never given another meaning. Families: 1 syntax, 2 shape, 3 names, 4 meaning, 5 tests,
6 advice, 9 internal. The page that `policy rule CODE` prints lies in `pages/CODE.md`.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["RULES", "Rule"]


class Rule(NamedTuple):
    """What is fixed about a code."""

    code: str
    name: str
    severity: str
    """`error`, `warning` or `info`."""
    summary: str
    """One sentence for lists and for the rule table of SARIF."""


_TABLE = (
    ("POL101", "invalid-character", "error", "A character that cannot stand here."),
    ("POL102", "unexpected-end", "error", "The text ends in the middle of something."),
    ("POL103", "invalid-literal", "error", "A bare word or a malformed number."),
    ("POL104", "invalid-encoding", "error", "Bytes that are not UTF-8."),
    ("POL105", "duplicate-name", "error", "A name given twice in one object."),
    ("POL106", "too-deep", "error", "Brackets nested deeper than 10,000 levels."),
    ("POL107", "too-large", "error", "The file is larger than 16 MiB."),
    # Shape
    ("POL201", "wrong-type", "error", "A value of another type than the field takes."),
    ("POL202", "unknown-field", "error", "A field that this object does not have."),
    ("POL203", "same-field-twice", "error", "A field and its synonym, or two spellings of it."),
    ("POL204", "value-out-of-range", "error", "A value outside what the field allows."),
    ("POL210", "unsupported-action", "error", "An acl action other than accept."),
    ("POL211", "missing-ssh-action", "error", "An ssh rule without an action."),
    ("POL212", "invalid-ssh-action", "error", "An ssh action other than accept or check."),
    ("POL213", "missing-ssh-users", "error", "An ssh rule that names no users."),
    ("POL214", "invalid-ssh-user", "error", "An ssh user that is empty or a wildcard."),
    ("POL215", "empty-grant", "error", "A grant that grants neither network nor application."),
    ("POL220", "invalid-ports", "error", "A port list that cannot be read."),
    (
        "POL221",
        "invalid-protocol",
        "error",
        "A protocol that is neither a known name nor a number.",
    ),
    ("POL222", "ports-without-protocol", "error", "Ports on a protocol that has none."),
    (
        "POL223",
        "invalid-address",
        "error",
        "Something that should be an address or a known selector.",
    ),
    ("POL224", "invalid-duration", "error", "A check period that is not a duration."),
    (
        "POL225",
        "check-period-out-of-range",
        "error",
        "A check period below zero or above 168 hours.",
    ),
    (
        "POL226",
        "invalid-capability-name",
        "error",
        "A capability name that is not domain and path.",
    ),
    ("POL227", "invalid-posture", "error", "A posture assertion that cannot be read."),
    ("POL228", "empty-accept-env", "error", "An acceptEnv pattern that is empty."),
    (
        "POL229",
        "invalid-definition-name",
        "error",
        "A group, tag, host, ip set or posture misnamed.",
    ),
    ("POL230", "invalid-ipset-entry", "error", "An ip set entry that cannot be read."),
    # Names
    ("POL301", "undefined-tag", "error", "A tag that tagOwners does not define."),
    ("POL302", "undefined-group", "error", "A group that groups does not define."),
    ("POL303", "undefined-host", "error", "A name that is no host alias and no other selector."),
    ("POL304", "undefined-ipset", "error", "An ip set that ipsets does not define."),
    ("POL305", "undefined-posture", "error", "A posture that postures does not define."),
    ("POL306", "recursive-group", "error", "A group as a member of a group."),
    ("POL307", "ipset-cycle", "error", "Ip sets that contain one another."),
    ("POL308", "unknown-autogroup", "error", "An autogroup that does not exist."),
    ("POL309", "foreign-domain", "error", "A domain that is not associated with the tailnet."),
    ("POL310", "unknown-user", "warning", "A user that the inventory does not have."),
    # Meaning
    ("POL401", "selector-not-allowed", "error", "A selector in a place that does not take it."),
    ("POL402", "self-as-source", "error", "autogroup:self on the source side."),
    ("POL403", "self-with-other-sources", "error", "autogroup:self reached from what has no user."),
    ("POL404", "danger-all-as-destination", "error", "autogroup:danger-all as a destination."),
    ("POL405", "all-addresses", "error", "A zero-length prefix as a destination."),
    ("POL406", "app-with-internet", "error", "An application capability on the internet."),
    ("POL407", "via-not-a-tag", "error", "Something other than a tag in via."),
    ("POL408", "reserved-capability", "error", "A capability that only the service may issue."),
    ("POL409", "reserved-pool", "error", "An address pool inside a reserved range."),
    ("POL410", "self-as-target", "error", "autogroup:self as the target of node attributes."),
    (
        "POL411",
        "ssh-test-destination",
        "error",
        "An ssh test destination of a kind it cannot have.",
    ),
    ("POL412", "mixed-member-spellings", "error", "autogroup:member beside autogroup:members."),
    # Tests
    ("POL501", "test-failed", "error", "A policy test whose answer is not the wanted one."),
    ("POL502", "malformed-test", "error", "A policy test that cannot be evaluated."),
    ("POL503", "ssh-test-failed", "error", "An ssh test whose answer is not the wanted one."),
    ("POL504", "malformed-ssh-test", "error", "An ssh test that cannot be evaluated."),
    ("POL505", "undecided-test", "info", "A test whose answer depends on an inventory."),
    # Advice
    ("POL601", "default-allow-all", "warning", "Neither acls nor grants: everything is allowed."),
    ("POL602", "taken-on-trust", "info", "What was not checked because there is no inventory."),
    # Internal
    ("POL901", "internal-fault", "error", "A fault of the tool itself."),
)

RULES: dict[str, Rule] = {row[0]: Rule(*row) for row in _TABLE}
"""Code to rule, in order of code."""
