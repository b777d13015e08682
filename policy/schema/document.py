"""The schema of a policy."""

from __future__ import annotations

from policy.schema import cases, definitions, rules
from policy.schema.parts import Schema, array_of, boolean, document, record, ref, strings

__all__ = ["policy_schema"]

_DESCRIPTION = (
    "Who may reach what in a private mesh network. Field names match whatever their case, which"
    " this schema cannot express: it knows the usual spelling. `policy check` decides."
)


def policy_schema() -> Schema:
    """Return the schema of the policy file."""
    fields = {
        "acls": _section("Acls", "Network rules, ports inside `dst`.", "acl"),
        "grants": _section("Grants", "Network and application rules.", "grant"),
        "groups": definitions.groups(),
        "hosts": definitions.hosts(),
        "ipsets": definitions.ipsets(),
        "tagOwners": definitions.tag_owners(),
        "autoApprovers": definitions.auto_approvers(),
        "ssh": _section("SSH", "Who may log in where, as whom.", "sshRule"),
        "nodeAttrs": _section("Node attributes", "Capabilities of nodes.", "nodeAttr"),
        "postures": definitions.postures(),
        "defaultSrcPosture": strings(
            "Default posture",
            "Postures, any of which devices must satisfy where a rule names none itself.",
            "posture:managed",
        ),
        "tests": _section("Tests", "Access that must and must not be.", "test"),
        "sshTests": _section("SSH tests", "Logins that must and must not be.", "sshTest"),
        "attrConfig": {
            "title": "Attribute configuration",
            "description": "Declares custom device attributes.",
            "type": ["object", "null"],
        },
        "derpMap": definitions.derp_map(),
        "disableIPv4": boolean("Disable IPv4", "Give the tailnet IPv6 addresses alone."),
        "OneCGNATRoute": {
            "title": "One CGNAT route",
            "description": "Whether macOS routes the whole range of the tailnet at once.",
            "enum": ["", "mac-always", "mac-never", None],
        },
        "randomizeClientPort": boolean(
            "Randomize port", "Have nodes listen on a random port instead of the usual one."
        ),
        "extraDNSRecords": definitions.dns_records(),
    }
    root = record("Policy", _DESCRIPTION, fields)
    return document(
        "Policy",
        _DESCRIPTION,
        root,
        {
            "acl": rules.acl(),
            "grant": rules.grant(),
            "sshRule": rules.ssh_rule(),
            "nodeAttr": rules.node_attr(),
            "test": cases.test(),
            "sshTest": cases.ssh_test(),
        },
    )


def _section(title: str, description: str, definition: str) -> Schema:
    return array_of(title, description, ref(definition))
