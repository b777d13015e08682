"""Random entries of a policy's own `tests`, well-formed ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.policies.vocabulary import (
    ATTRIBUTES,
    DOMAIN,
    GROUPS,
    IDP_GROUP,
    TAGS,
    UNKNOWN_USERS,
    USERS,
)

if TYPE_CHECKING:
    from random import Random

PARTIES = (
    *USERS,
    *USERS,
    UNKNOWN_USERS[0],
    *GROUPS,
    IDP_GROUP,
    f"user:*@{DOMAIN}",
    "autogroup:member",
    "autogroup:tagged",
    "autogroup:admin",
    *TAGS,
    *TAGS,
    "db1",
    "lap",
    "lap-six",
    "resolver",
    "100.64.0.9",
    "100.115.92.1",
    "100.127.255.255",
    "fd7a:115c:a1e0::a",
    "10.9.3.4",
    "10.9.3.255",
    "8.8.8.8",
    "2001:4860:4860::8888",
)
"""What may be the source of a test, and with a port its destination."""
_PORTS = (1, 21, 22, 23, 79, 80, 90, 91, 443, 7999, 8000, 8080, 8081, 65535)


def random_case(rng: Random) -> dict[str, Any]:
    """Return an entry with one or two destinations, accepted or denied."""
    entry: dict[str, Any] = {"src": rng.choice(PARTIES)}
    for _ in range(rng.choice((1, 1, 2))):
        entry.setdefault(rng.choice(("accept", "deny")), []).append(_destination(rng))
    if rng.random() < 0.4:
        entry["proto"] = rng.choice(("tcp", "udp", "TCP", "sctp"))
    if rng.random() < 0.4:
        entry["srcPostureAttrs"] = {
            name: rng.choice(values) for name, values in ATTRIBUTES.items() if rng.random() < 0.7
        }
    return entry


def _destination(rng: Random) -> str:
    host = rng.choice(PARTIES)
    port = rng.choice(_PORTS)
    return f"[{host}]:{port}" if host.count(":") > 1 else f"{host}:{port}"
