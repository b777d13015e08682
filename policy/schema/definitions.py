"""Schemas of what rules refer to, and of settings."""

from __future__ import annotations

from policy.schema.parts import (
    Schema,
    array_of,
    boolean,
    object_of,
    record,
    string,
    strings,
)

__all__ = [
    "auto_approvers",
    "derp_map",
    "dns_records",
    "groups",
    "hosts",
    "ipsets",
    "postures",
    "tag_owners",
]

_APPROVERS = strings(
    "Approvers", "Users, groups, tags or autogroups.", "group:ops", "tag:router", "autogroup:admin"
)


def groups() -> Schema:
    """Return the schema of `groups`."""
    members = strings(
        "Members", "Logins. Groups cannot hold groups of this policy.", "ann@corp.test"
    )
    return object_of(
        "Groups", "Named lists of users; names start with `group:`.", "^group:.", members
    )


def tag_owners() -> Schema:
    """Return the schema of `tagOwners`."""
    owners = strings(
        "Owners",
        "Who may give devices this tag: users, groups, autogroups, or devices with another tag."
        " Empty: only admins of the tailnet.",
        "group:ops",
        "autogroup:admin",
        "tag:ci",
    )
    return object_of(
        "Tag owners",
        "Defines the tags. A tag has a letter, then letters, digits and dashes.",
        "^[ \\t]*tag:[A-Za-z][A-Za-z0-9-]*[ \\t]*$",
        owners,
    )


def hosts() -> Schema:
    """Return the schema of `hosts`."""
    shown = object_of(
        "Hosts",
        "Names for addresses and networks.",
        None,
        {"type": "string", "examples": ["100.64.0.9", "10.1.0.0/16"]},
    )
    shown["propertyNames"] = {
        "pattern": "^(?!(tag|group|autogroup|ipset|svc|user|posture):)[^@]+$",
        "not": {"const": "*"},
    }
    return shown


def ipsets() -> Schema:
    """Return the schema of `ipsets`."""
    entries = strings(
        "Steps",
        "Applied in order to the empty set: addresses, networks, hosts, other ip sets or"
        " `autogroup:internet`, with `add` or `remove` in front of all of them or of none.",
        "add 10.0.0.0/8",
        "remove 10.9.0.0/16",
        "ipset:offices",
    )
    return object_of("Ip sets", "Named sets of addresses.", "^ipset:.", entries)


def postures() -> Schema:
    """Return the schema of `postures`, in both their forms."""
    assertions = strings(
        "Assertions",
        "`attribute operator value`, all of which must hold. Text stands in single quotes.",
        "node:os == 'macos'",
        "node:osVersion >= '14.0'",
        "node:tsReleaseTrack IN ['stable']",
        "custom:tier IS SET",
    )
    failure = record(
        "On failure",
        "What a user whose device fails is told.",
        {"message": string("Message", "Shown to the user.")},
    )
    whole = record(
        "Posture",
        "Assertions and what happens when they fail.",
        {"assertions": assertions, "onFailure": {**failure, "type": ["object", "null"]}},
    )
    return object_of(
        "Postures",
        "Conditions on devices; names start with `posture:`.",
        "^posture:.",
        {"anyOf": [assertions, whole]},
    )


def auto_approvers() -> Schema:
    """Return the schema of `autoApprovers`."""
    fields = {
        "routes": object_of(
            "Routes", "Networks, and who may have routes inside them approved.", None, _APPROVERS
        ),
        "exitNode": strings("Exit nodes", "Who may have exit nodes approved.", "tag:exit"),
        "services": object_of("Services", "Services, and who may host them.", None, _APPROVERS),
    }
    shown = record("Auto approvers", "What needs no approval by hand.", fields)
    return {**shown, "type": ["object", "null"]}


def derp_map() -> Schema:
    """Return the schema of `derpMap`."""
    node_fields = {
        "name": string("Name", "Unique in the map.", "900a"),
        "regionID": _number("Region", "The region that the relay belongs to.", 1, 2**31 - 1),
        "hostName": string("Host name", "Where the relay is found.", "derp.corp.test"),
        "certName": string("Certificate name", "The name to expect in its certificate."),
        "ipv4": string("IPv4", "Its address, `none` for none.", "198.51.100.7"),
        "ipv6": string("IPv6", "Its address, `none` for none.", "2001:db8::7"),
        "stunPort": _number("STUN port", "0 is 3478, -1 is none.", -1, 65535),
        "stunOnly": boolean("STUN only", "Answers STUN and relays nothing."),
        "derpPort": _number("Relay port", "0 is 443.", 0, 65535),
        "insecureForTests": boolean("Insecure", "Skip certificate checks; for tests alone."),
        "canPort80": boolean("Port 80", "Answers on port 80 for captive portal checks."),
    }
    region_fields = {
        "regionID": _number(
            "Region", "The same number as its name; own ones from 900.", 1, 2**31 - 1
        ),
        "regionCode": string("Code", "A short name.", "corp"),
        "regionName": string("Name", "For people to read.", "Corp HQ"),
        "avoid": boolean("Avoid", "Never choose it as home."),
        "nodes": array_of(
            "Relays", "In order of preference.", record("Relay", "One relay.", node_fields)
        ),
    }
    region = record("Region", "Relays close to one another; null removes it.", region_fields)
    fields = {
        "omitDefaultRegions": boolean("Omit defaults", "Use no relays but those listed here."),
        "regions": object_of(
            "Regions",
            "Region numbers to regions.",
            "^[0-9]+$",
            {"anyOf": [region, {"type": "null"}]},
        ),
    }
    shown = record("Relay map", "Relays of one's own.", fields)
    return {**shown, "type": ["object", "null"]}


def dns_records() -> Schema:
    """Return the schema of `extraDNSRecords`."""
    fields = {
        "name": string("Name", "A full domain name.", "grafana.corp.test"),
        "type": {
            "title": "Type",
            "description": "A, AAAA, or nothing to tell it by the value.",
            "enum": ["A", "AAAA", "", None],
        },
        "value": string("Value", "An address.", "100.64.0.9"),
    }
    return array_of(
        "DNS records",
        "Names that nodes resolve for themselves.",
        record("DNS record", "One name and address.", fields),
    )


def _number(title: str, description: str, low: int, high: int) -> Schema:
    return {
        "title": title,
        "description": description,
        "type": ["integer", "null"],
        "minimum": low,
        "maximum": high,
    }
