"""A tailnet small enough to hold in the head, for tests of single rules.

People: ada (owner) and ben (member). Devices: ada's `slate` and `tower`, ben's `brick`, the tagged
`shop` and `vault`, the subnet router `gate` and the exit node `port`. The last octet of a device's
IPv4 address is also the last group of its IPv6 address, in hexadecimal.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from engine.compile.network import CompiledNetwork
from engine.inventory import read_inventory
from policy.load import load
from policy.source import Source

if TYPE_CHECKING:
    from engine.directory import Directory
    from policy.model.document import Policy

ADA, BEN = "ada@mesh.test", "ben@mesh.test"
TAGS = ("tag:shop", "tag:vault", "tag:gate", "tag:port")
SITE = "10.20.0.0/16"
EXITS = ("0.0.0.0/0", "::/0")
WILDCARD = (
    "100.115.94.0-100.127.255.255",
    "100.64.0.0-100.115.91.255",
    "fd7a:115c:a1e0::/48",
)
"""What the source `*` is where nobody routes anything, in wire order."""


def v4(number: int) -> str:
    return f"100.70.0.{number}"


def v6(number: int) -> str:
    return f"fd7a:115c:a1e0::{number:x}"


def both(*numbers: int) -> tuple[str, ...]:
    """Return the addresses of some devices as a sorted source list."""
    return tuple(sorted(text for n in numbers for text in (v4(n), v6(n))))


def device(name: str, number: int, **fields: Any) -> dict[str, Any]:
    """Return a device as in an inventory; `routes` are advertised and approved."""
    routes = list(fields.pop("routes", ()))
    return {
        "id": str(number),
        "hostname": name,
        "addresses": [v4(number), v6(number)],
        "advertisedRoutes": routes,
        "enabledRoutes": routes,
        "created": f"2026-02-01T10:00:00.{number:03}Z",
    } | fields


SLATE = device("slate", 10, user=ADA)
TOWER = device("tower", 9, user=ADA)
BRICK = device("brick", 11, user=BEN)
SHOP = device("shop", 20, tags=["tag:shop"])
VAULT = device("vault", 21, tags=["tag:vault"])
GATE = device("gate", 22, tags=["tag:gate"], routes=[SITE])
PORT = device("port", 23, tags=["tag:port"], routes=EXITS)
EVERYTHING = (SLATE, TOWER, BRICK, SHOP, VAULT, GATE, PORT)


def directory(*devices: dict[str, Any], **more: Any) -> Directory:
    """Return a directory of some devices, of all of them if none is given."""
    users = [
        {"id": "1", "loginName": ADA, "displayName": "Ada", "role": "owner"},
        {"id": "2", "loginName": BEN, "displayName": "Ben", "role": "member"},
    ]
    inventory = {"users": users, "devices": list(devices or EVERYTHING)} | more
    return read_inventory(json.dumps(inventory))


def policy(**sections: Any) -> Policy:
    """Return a policy with some sections; all tags are defined."""
    document = {"tagOwners": {tag: [] for tag in TAGS}} | sections
    loaded = load(Source("small.hujson", json.dumps(document, indent=1)))
    assert loaded.policy is not None, [found.message for found in loaded.diagnostics]
    return loaded.policy


def accept(src: list[str], dst: list[str], **more: Any) -> dict[str, Any]:
    """Return an acl."""
    return {"action": "accept", "src": src, "dst": dst} | more


def network(*devices: dict[str, Any], **sections: Any) -> CompiledNetwork:
    """Compile a policy for some devices, for all of them if none is given."""
    return CompiledNetwork(policy(**sections), directory(*devices))


def filter_of(compiled: CompiledNetwork, name: str) -> list[dict[str, Any]]:
    """Return a device's packet filter in the wire's spelling."""
    index = compiled.directory.by_hostname[name].index
    return [rule.to_wire() for rule in compiled.packet_filters[index]]


def entries(compiled: CompiledNetwork, name: str) -> list[str]:
    """Return the destinations of a device's filter as `ip:ports`, rule after rule."""
    index = compiled.directory.by_hostname[name].index
    return [
        f"{ip}:{first}" if first == last else f"{ip}:{first}-{last}"
        for rule in compiled.packet_filters[index]
        for ip, (first, last) in rule.dst_ports
    ]
