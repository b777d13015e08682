"""Schemas of acls, grants, ssh rules and node attributes."""

from __future__ import annotations

from policy.schema.parts import (
    Schema,
    array_of,
    boolean,
    object_of,
    one_of,
    record,
    string,
    strings,
)

__all__ = ["acl", "grant", "node_attr", "ssh_rule"]

_SOURCES = (
    "*",
    "autogroup:member",
    "autogroup:admin",
    "autogroup:tagged",
    "ann@corp.test",
    "group:engineering",
    "tag:ci",
    "10.1.0.0/16",
    "ipset:offices",
)
_SRC = (
    "Who connects: `*`, users, groups, tags, autogroups, host aliases, addresses, networks, ip"
    " sets. Any one of them suffices."
)
_POSTURE = strings(
    "Device postures",
    "Names of `postures`, any of which the connecting device must satisfy. Replaces"
    " `defaultSrcPosture`.",
    "posture:managed",
)


def acl() -> Schema:
    """Return the schema of an entry of `acls`."""
    dst = strings(
        "Destinations with ports",
        "What is reached, each with its ports behind the last colon: `*`, a port, a range, or"
        " several with commas between them.",
        "tag:web:443",
        "tag:web:80,443",
        "group:engineering:8000-8999",
        "autogroup:self:*",
        "autogroup:internet:*",
        "*:*",
    )
    fields = {
        "action": one_of("Action", "Always `accept`: what no rule accepts is denied.", "accept"),
        "src": strings("Sources", _SRC, *_SOURCES),
        "dst": dst,
        "proto": string(
            "Protocol",
            "A protocol by name, in any case, or by number. Without it: TCP, UDP and ICMP. Only"
            " tcp, udp and sctp have ports; for others write `*`.",
            "tcp",
            "udp",
            "icmp",
            "sctp",
            "gre",
        ),
        "srcPosture": _POSTURE,
        "users": {**strings("Sources", "Old name of `src`."), "deprecated": True},
        "ports": {**strings("Destinations", "Old name of `dst`."), "deprecated": True},
    }
    return record(
        "Acl", "Allows sources to reach ports of destinations.", fields, required=["action"]
    )


def grant() -> Schema:
    """Return the schema of an entry of `grants`."""
    fields = {
        "src": strings("Sources", _SRC, *_SOURCES),
        "dst": strings(
            "Destinations",
            "What is reached, without ports. Not a network of length zero: write `*` or"
            " `autogroup:internet`.",
            "tag:web",
            "autogroup:self",
            "autogroup:internet",
            "10.9.0.0/16",
            "svc:print",
            "*",
        ),
        "ip": strings(
            "Network access",
            "Ports, ranges or `*`, each with a protocol and a colon in front if need be. A bare"
            " number is a port, never a protocol.",
            "*",
            "443",
            "tcp:443",
            "udp:8000-8999",
            "icmp:*",
        ),
        "app": _app("Application capabilities that the sources hold on the destinations."),
        "via": strings(
            "Via",
            "Tags of the routers or exit nodes that carry this traffic.",
            "tag:router-eu",
        ),
        "srcPosture": _POSTURE,
    }
    return record("Grant", "Allows network access, application capabilities, or both.", fields)


def ssh_rule() -> Schema:
    """Return the schema of an entry of `ssh`."""
    fields = {
        "action": one_of(
            "Action",
            "`accept`, or `check` to have users prove their identity again every so often.",
            "accept",
            "check",
        ),
        "src": strings(
            "Sources",
            "Users, groups, tags or autogroups.",
            "autogroup:member",
            "group:ops",
            "user:*@corp.test",
        ),
        "dst": strings(
            "Destinations",
            "Tags, `autogroup:self`, or the user who is the only source. No ports.",
            "tag:production",
            "autogroup:self",
        ),
        "users": strings(
            "Accounts",
            "Accounts on the destination. `autogroup:nonroot` is any but root;"
            " `localpart:*@domain` is each user's own name in front of the @.",
            "root",
            "autogroup:nonroot",
            "localpart:*@corp.test",
        ),
        "checkPeriod": string(
            "Check period",
            "How long a check holds: a duration up to 168h, or `always`. 12h without it.",
            "12h",
            "1h30m",
            "always",
        ),
        "acceptEnv": strings(
            "Environment",
            "Variables that clients may set; `*` and `?` stand for any characters and for one.",
            "LANG",
            "LC_*",
        ),
        "srcPosture": _POSTURE,
        "recorder": strings("Recorders", "Tags of the session recorders.", "tag:recorder"),
        "enforceRecorder": boolean(
            "Enforce recording", "Refuse sessions while no recorder can be reached."
        ),
    }
    return record(
        "SSH rule",
        "Lets sources log in to accounts of destinations. Rules that check come first.",
        fields,
        required=["action", "users"],
    )


def node_attr() -> Schema:
    """Return the schema of an entry of `nodeAttrs`."""
    fields = {
        "target": strings(
            "Targets",
            "Which nodes: `*`, users, groups, tags, autogroups, host aliases or addresses.",
            "*",
            "autogroup:member",
            "tag:server",
        ),
        "attr": strings(
            "Attributes",
            "Node capabilities, such as `funnel` or `mullvad`; unknown ones are passed on.",
            "funnel",
            "disable-ipv4",
            "nextdns:abc123",
        ),
        "app": _app("Application capabilities of the nodes themselves."),
        "ipPool": strings(
            "Address pool",
            "Networks from which the nodes get their IPv4 addresses, outside reserved ranges.",
            "100.64.10.0/24",
        ),
    }
    return record("Node attributes", "Capabilities that nodes are told of.", fields)


def _app(description: str) -> Schema:
    return object_of(
        "Applications",
        description + " Names are `{domain}/{path}`; values are for the application to read.",
        None,
        array_of("Values", "Any JSON; the network does not look into it.", {}),
    )
