"""Schemas of the test cases that a policy carries."""

from __future__ import annotations

from policy.schema.parts import Schema, object_of, record, string, strings

__all__ = ["ATTRIBUTES", "ssh_test", "ssh_test_fields", "test", "test_fields"]

ATTRIBUTES = object_of(
    "Posture attributes",
    "Attributes of the source, against which postures are checked.",
    None,
    {"type": ["string", "number", "boolean"]},
)


def test_fields(src: Schema) -> dict[str, Schema]:
    """Return the fields that every network test has."""
    return {
        "src": src,
        "proto": string("Protocol", "TCP or UDP without it.", "tcp", "udp", "icmp"),
        "accept": strings(
            "Must be reached", "Destinations, each with a port.", "tag:web:443", "10.1.2.3:22"
        ),
        "deny": strings("Must not be reached", "Destinations, each with a port.", "tag:db:5432"),
        "srcPostureAttrs": ATTRIBUTES,
        "user": {**src, "description": "Old name of `src`.", "deprecated": True},
        "allow": {**strings("Must be reached", "Old name of `accept`."), "deprecated": True},
    }


def ssh_test_fields(src: Schema, dst: Schema) -> dict[str, Schema]:
    """Return the fields that every SSH test has."""
    return {
        "src": src,
        "dst": dst,
        "accept": strings("Accepted accounts", "Accounts open without a check.", "root"),
        "check": strings("Checked accounts", "Accounts open after a check.", "deploy"),
        "deny": strings("Denied accounts", "Accounts that stay closed.", "root"),
        "srcPostureAttrs": ATTRIBUTES,
    }


def test() -> Schema:
    """Return the schema of an entry of `tests`."""
    src = string("Source", "A user, group, tag, host alias or address.", "ann@corp.test")
    return record(
        "Test",
        "What a source must and must not reach. Evaluated on every check.",
        test_fields(src),
    )


def ssh_test() -> Schema:
    """Return the schema of an entry of `sshTests`."""
    src = string("Source", "A user, tag, group or address.", "ann@corp.test")
    dst = strings("Destinations", "Users, tags, hosts or addresses, without ports.", "tag:web")
    return record(
        "SSH test",
        "Which accounts of some destinations a source must and must not be let into.",
        ssh_test_fields(src, dst),
    )
