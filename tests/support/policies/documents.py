"""Random policies that load without errors, as plain JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.policies.vocabulary import (
    APPS,
    DOMAIN,
    GROUPS,
    HOSTS,
    IDP_GROUP,
    LITERALS,
    PORTS,
    POSTURES,
    TAGS,
    UNKNOWN_USERS,
    USERS,
)

if TYPE_CHECKING:
    from random import Random

_LOGINS = (*USERS, *UNKNOWN_USERS)
_PEOPLE = (
    *USERS,
    UNKNOWN_USERS[0],
    *GROUPS,
    IDP_GROUP,
    f"user:*@{DOMAIN}",
    "autogroup:member",
    "autogroup:owner",
    "autogroup:admin",
    "autogroup:network-admin",
)
_MACHINES = (*TAGS, "autogroup:tagged")
_IPSETS = ("ipset:plain", "ipset:cut", "ipset:nested", "ipset:empty")
_ADDRESSES = (*HOSTS, *LITERALS, *_IPSETS)
_PORTED = ("", "", "", "tcp", "TCP", "udp", "6", "sctp", "*")
_PORTLESS = ("icmp", "ipv6-icmp", "gre", "47", "igmp", "esp")


def random_policy(rng: Random, most_rules: int = 7) -> dict[str, Any]:
    """Return a policy over the whole vocabulary: acls, grants or both, or neither."""
    policy: dict[str, Any] = {
        "groups": {
            name: [] if name == "group:none" else rng.sample(_LOGINS, rng.randint(0, 3))
            for name in GROUPS
        },
        "tagOwners": {tag: [] for tag in TAGS},
        "hosts": dict(HOSTS),
        "ipsets": _ipsets(rng),
        "postures": dict(POSTURES),
    }
    kinds = rng.choice((("acls",), ("grants",), ("acls", "grants"), ("grants", "acls")))
    for kind in () if rng.random() < 0.03 else kinds:
        make = random_acl if kind == "acls" else random_grant
        name = kind if rng.random() < 0.9 else kind.upper()
        policy[name] = [
            make(rng) for _ in range(rng.randint(0 if rng.random() < 0.1 else 2, most_rules))
        ]
    if rng.random() < 0.1:
        policy["defaultSrcPosture"] = rng.sample(list(POSTURES), rng.randint(1, 2))
    if rng.random() < 0.2:
        target = rng.choice(("*", "tag:web", "ann@corp.test"))
        policy["nodeAttrs"] = [{"target": [target], "attr": ["disable-ipv4"]}]
    return policy


def random_acl(rng: Random) -> dict[str, Any]:
    """Return an acl."""
    protocol = rng.choice(_PORTED if rng.random() < 0.8 else _PORTLESS)
    is_portless = protocol in _PORTLESS
    dst = _destinations(rng, _PEOPLE, _MACHINES, _ADDRESSES, ("*", "autogroup:self"))
    entry: dict[str, Any] = {
        "action": "accept",
        "src": _sources(rng, dst, wildcard_meets_self=True),
        "dst": [_with_port(rng, host, "*" if is_portless else rng.choice(PORTS)) for host in dst],
    }
    if protocol:
        entry["proto"] = protocol
    if rng.random() < 0.1:
        entry["users"], entry["ports"] = entry.pop("src"), entry.pop("dst")
    return entry | _posture(rng)


def random_grant(rng: Random) -> dict[str, Any]:
    """Return a grant of network access, of applications, or of both; perhaps by way of routers."""
    app = rng.choice(APPS) if rng.random() < 0.3 else {}
    special = ("*", "autogroup:self") if app else ("*", "autogroup:self", "autogroup:internet")
    dst = _destinations(rng, _PEOPLE, _MACHINES, _ADDRESSES, special)
    if app:
        dst = [selector for selector in dst if selector.strip() != "autogroup:internet"]
    entry: dict[str, Any] = {
        "src": _sources(rng, dst, wildcard_meets_self=False),
        "dst": dst,
        "ip": [] if app and rng.random() < 0.4 else [_ip(rng) for _ in range(rng.randint(1, 4))],
    }
    if app:
        entry["app"] = app
    if rng.random() < 0.2:
        entry["via"] = rng.sample(TAGS, rng.randint(1, 2))
    return entry | _posture(rng)


def _ip(rng: Random) -> str:
    if rng.random() < 0.15:
        return f"{rng.choice(_PORTLESS)}:*"
    ports = rng.choice(rng.choice(PORTS).split(","))
    protocol = rng.choice(("", "", "tcp:", "udp:", "sctp:", "17:"))
    return f"{protocol}{ports}"


def _destinations(rng: Random, *kinds: tuple[str, ...]) -> list[str]:
    chosen = [rng.choice(rng.choice(kinds)) for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 3)))]
    if rng.random() < 0.1:
        chosen.append("autogroup:internet")
    return [f" {selector}\t" if rng.random() < 0.02 else selector for selector in chosen]


def _sources(rng: Random, dst: list[str], *, wildcard_meets_self: bool) -> list[str]:
    """Return sources that may stand with the destinations: self is for users only."""
    kinds: list[tuple[str, ...]] = [_PEOPLE]
    if "autogroup:self" not in (selector.strip() for selector in dst):
        kinds += [_PEOPLE, _MACHINES, _ADDRESSES, ("*", "*", "autogroup:danger-all", "0.0.0.0/0")]
    elif wildcard_meets_self:
        kinds.append(("*",))
    return [rng.choice(rng.choice(kinds)) for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3)))]


def _with_port(rng: Random, host: str, ports: str) -> str:
    is_six = host.count(":") > 1
    if is_six and rng.random() < 0.5:
        return f"[{host.strip()}]:{ports}"
    return f"{host.rstrip()}:{ports}"


def _posture(rng: Random) -> dict[str, Any]:
    if rng.random() < 0.8:
        return {}
    return {"srcPosture": rng.sample(list(POSTURES), rng.randint(0, 2))}


def _ipsets(rng: Random) -> dict[str, list[str]]:
    plain = [*HOSTS, *LITERALS, "autogroup:internet"]
    return {
        "ipset:plain": rng.sample(plain, rng.randint(1, 3)),
        "ipset:cut": [_step(rng, rng.choice(plain)) for _ in range(rng.randint(1, 5))],
        "ipset:nested": [
            "add ipset:plain",
            *(_step(rng, rng.choice((*plain, "ipset:cut"))) for _ in range(rng.randint(0, 3))),
        ],
        "ipset:empty": ["add 10.9.3.4", "remove 10.0.0.0/8"],
    }


def _step(rng: Random, target: str) -> str:
    return f"{rng.choice(('add', 'add', 'remove'))} {target}"


def without_postures(policy: dict[str, Any]) -> dict[str, Any]:
    """Return a policy whose rules ask for no posture."""
    bare = {name: value for name, value in policy.items() if name != "defaultSrcPosture"}
    for name in bare.keys() & {"acls", "grants", "ACLS", "GRANTS"}:
        bare[name] = [
            {field: value for field, value in rule.items() if field != "srcPosture"}
            for rule in bare[name]
        ]
    return bare
