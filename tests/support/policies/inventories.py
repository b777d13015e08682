"""Random inventories in the shape of inventory files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.policies.vocabulary import (
    ATTRIBUTES,
    DOMAIN,
    EXIT_ROUTES,
    IDP_GROUP,
    ROUTES,
    TAGS,
    TAILNET_V4,
    TAILNET_V6,
    USERS,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random


def random_inventory(rng: Random, *, most_tags: int = 3) -> dict[str, Any]:
    """Return users and up to nine devices: some tagged, some routing, some exit nodes.

    With `most_tags` of 1, no device carries two tags.
    """
    count = rng.randint(1, 9)
    addresses = zip(rng.sample(TAILNET_V4, count), rng.sample(TAILNET_V6, count), strict=True)
    return {
        "users": [
            {
                "id": str(number),
                "loginName": login,
                "displayName": login.partition("@")[0],
                "role": role,
                "groups": [IDP_GROUP] if rng.random() < 0.3 else [],
            }
            for number, (login, role) in enumerate(USERS.items(), 1)
        ],
        "devices": [_device(rng, number, pair, most_tags) for number, pair in enumerate(addresses)],
        "domains": [DOMAIN],
    }


def _device(rng: Random, number: int, addresses: tuple[str, str], most_tags: int) -> dict[str, Any]:
    tags = rng.sample(TAGS[:-1], rng.randint(1, most_tags)) if rng.random() < 0.5 else []
    advertised, enabled = _routes(rng)
    return {
        "id": str(number + 1),
        "hostname": f"host-{number}",
        "addresses": list(_families(rng, addresses)),
        # The API still names the creator of a tagged device.
        "user": rng.choice(list(USERS)),
        "tags": tags,
        "advertisedRoutes": advertised,
        "enabledRoutes": enabled,
        "created": f"2026-01-{rng.randint(1, 9):02}T00:00:00Z",
        "online": rng.random() < 0.8,
        "postureAttributes": {
            name: rng.choice(values) for name, values in ATTRIBUTES.items() if rng.random() < 0.6
        },
    }


def _families(rng: Random, addresses: tuple[str, str]) -> Sequence[str]:
    return addresses if rng.random() < 0.9 else (rng.choice(addresses),)


def _routes(rng: Random) -> tuple[list[str], list[str]]:
    """Return what a device advertises and what is approved; neither contains the other."""
    if rng.random() < 0.5:
        return [], []
    pool = [*ROUTES, *EXIT_ROUTES]
    advertised = rng.sample(pool, rng.randint(1, 3))
    if rng.random() < 0.3:
        advertised = list(dict.fromkeys((*advertised, *EXIT_ROUTES)))
    enabled = [route for route in advertised if rng.random() < 0.75]
    return advertised, [*enabled, *rng.sample(pool, rng.randint(0, 1))]
