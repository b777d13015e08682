"""Reference load R: a large tailnet and a policy for it, the same from the same seed.

`python -m bench.load DIRECTORY [--devices N]` writes `policy.hujson` and `inventory.json` there.

10,000 devices, 2,000 users, 300 tags, 1,000 rules and about 500 kB of policy text. A smaller or
larger load keeps the proportions, so that what is compiled grows with the devices and no faster:
teams keep their size and so do fleets, there are just more of them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DEVICES = 10_000
SEED = 20_260_401
DOMAIN = "corp.test"
EXITS = ("0.0.0.0/0", "::/0")
PORTS = ("22", "80,443", "443", "5432", "8000-8099", "9100,9090", "3306", "6443", "*")
PROTOCOLS = ("tcp", "tcp", "tcp", "udp", "icmp")
PURPOSES = ("deploys", "on call", "metrics", "batch jobs", "reviewed by security", "migration")


class Shape(NamedTuple):
    """How many of what, for some number of devices."""

    devices: int

    @property
    def users(self) -> int:
        return self.devices // 5

    @property
    def tags(self) -> int:
        return max(4, self.devices * 3 // 100)

    @property
    def groups(self) -> int:
        return max(4, self.devices // 50)

    @property
    def hosts(self) -> int:
        return self.devices // 10

    @property
    def rules(self) -> int:
        return self.devices // 10

    @property
    def tests(self) -> int:
        return self.devices // 100

    @property
    def routers(self) -> int:
        """Two for each site; sites are places and do not multiply with devices."""
        return min(100, self.devices // 20)

    @property
    def exits(self) -> int:
        return 10


def inventory(devices: int = DEVICES, seed: int = SEED) -> dict[str, Any]:
    """Return users and devices in the shape of an inventory file."""
    shape = Shape(devices)
    rng = Random(seed)  # noqa: S311  seeded load, no secret
    users = [
        {
            "id": str(number + 1),
            "loginName": login(number),
            "displayName": f"User {number}",
            "role": "owner" if number == 0 else "admin" if number < 5 else "member",
        }
        for number in range(shape.users)
    ]
    return {
        "users": users,
        "devices": [_device(number, shape, rng) for number in range(devices)],
        "domains": [DOMAIN],
    }


def _device(number: int, shape: Shape, rng: Random) -> dict[str, Any]:
    routes = _routes(number, shape)
    fields: dict[str, Any] = {
        "id": str(number + 1),
        "hostname": f"host-{number}",
        "addresses": [address(number), f"fd7a:115c:a1e0::{number + 1:x}"],
        "user": login(rng.randrange(shape.users)),
        "created": f"2025-{1 + number % 12:02}-01T00:00:{number % 60:02}Z",
        "os": rng.choice(("linux", "macOS", "windows")),
        "clientVersion": "1.80.2",
        "advertisedRoutes": routes,
        "enabledRoutes": routes,
    }
    # Servers, and whatever routes, are tagged; two of five devices.
    if routes or number % 5 < 2:
        fields["tags"] = [tag(rng.randrange(shape.tags))]
    return fields


def _routes(number: int, shape: Shape) -> list[str]:
    """Make the first devices routers, two for each site, and the next few exit nodes."""
    if number < shape.routers:
        return [site(number // 2)]
    return list(EXITS) if number < shape.routers + shape.exits else []


def policy(devices: int = DEVICES, seed: int = SEED) -> str:
    """Return the text of the policy."""
    shape = Shape(devices)
    rng = Random(seed + 1)  # noqa: S311  seeded load, no secret
    acls = shape.rules * 7 // 10
    sections = [
        ("groups", _block("{}", _groups(shape, rng))),
        ("tagOwners", _block("{}", _tag_owners(shape, rng))),
        ("hosts", _block("{}", _hosts(shape))),
        ("acls", _block("[]", (_acl(number, shape, rng) for number in range(acls)))),
        (
            "grants",
            _block("[]", (_grant(number, shape, rng) for number in range(shape.rules - acls))),
        ),
        ("tests", _block("[]", (_test(shape, rng) for _ in range(shape.tests)))),
    ]
    body = "".join(f"\t{json.dumps(name)}: {block},\n\n" for name, block in sections)
    return f"// Reference load of {devices} devices.\n{{\n{body}}}\n"


def _block(brackets: str, items: Iterator[str]) -> str:
    lines = "".join(f"\t\t{item}\n" for item in items)
    return f"{brackets[0]}\n{lines}\t{brackets[1]}"


def _groups(shape: Shape, rng: Random) -> Iterator[str]:
    for number in range(shape.groups):
        members = [login(rng.randrange(shape.users)) for _ in range(24)]
        yield f"{json.dumps(group(number))}: {json.dumps(members)},"


def _tag_owners(shape: Shape, rng: Random) -> Iterator[str]:
    for number in range(shape.tags):
        owners = [group(rng.randrange(shape.groups)) for _ in range(2)]
        yield f"{json.dumps(tag(number))}: {json.dumps(owners)}, // fleet {number}"


def _hosts(shape: Shape) -> Iterator[str]:
    for number in range(shape.hosts):
        inside = f"10.{number % 100}.{number // 100 % 256}.{number % 250 + 1}"
        value = site(number // 2 % shape.routers // 2) if number % 8 == 0 else inside
        yield f"{json.dumps(host(number))}: {json.dumps(value)},"


def _acl(number: int, shape: Shape, rng: Random) -> str:
    rule: dict[str, Any] = {"action": "accept", "src": _sources(shape, rng)}
    protocol = rng.choice(PROTOCOLS) if rng.random() < 0.3 else None
    if protocol:
        rule["proto"] = protocol
    ports = ("*",) if protocol == "icmp" else PORTS
    rule["dst"] = [f"{selector}:{rng.choice(ports)}" for selector in _targets(shape, rng)]
    if number % 100 == 0:
        rule |= {"src": ["autogroup:member"], "dst": ["autogroup:self:*"]}
    return f"{_comment(number, shape, rng)}\t\t{json.dumps(rule)},"


def _grant(number: int, shape: Shape, rng: Random) -> str:
    rule: dict[str, Any] = {"src": _sources(shape, rng), "dst": _targets(shape, rng)}
    match number % 20:
        case 0:
            rule |= {"dst": ["autogroup:internet"], "ip": ["*"]}
        case 1:
            rule |= {"dst": [site(rng.randrange(shape.routers // 2))], "ip": ["tcp:443"]}
            rule["via"] = [tag(rng.randrange(shape.tags))]
        case 2 | 3 | 4 | 5:
            rule["app"] = {"corp.test/cap/console": [{"role": "viewer", "tier": number}]}
        case _:
            rule["ip"] = ["tcp:443", "udp:53", "8000-8080"]
    return f"{_comment(number, shape, rng)}\t\t{json.dumps(rule)},"


def _comment(number: int, shape: Shape, rng: Random) -> str:
    """Say who wanted a rule, as policies that are looked after do."""
    team, day = rng.randrange(shape.groups), 1 + number % 28
    return (
        f"// {rng.choice(PURPOSES)}: NET-{4000 + number}, asked for by team {team},\n"
        f"\t\t// reviewed 2026-03-{day:02}, to be looked at again in a year\n"
    )


def _sources(shape: Shape, rng: Random) -> list[str]:
    pick = rng.random()
    if pick < 0.01:
        return ["*"]
    if pick < 0.6:
        return [group(rng.randrange(shape.groups)) for _ in range(rng.randint(1, 3))]
    if pick < 0.8:
        return [login(rng.randrange(shape.users)) for _ in range(rng.randint(1, 6))]
    return [tag(rng.randrange(shape.tags)) for _ in range(rng.randint(1, 3))]


def _targets(shape: Shape, rng: Random) -> list[str]:
    targets = [tag(rng.randrange(shape.tags)) for _ in range(rng.randint(1, 6))]
    if rng.random() < 0.4:
        targets += [host(rng.randrange(shape.hosts)) for _ in range(rng.randint(1, 3))]
    if rng.random() < 0.1:
        targets.append(login(rng.randrange(shape.users)))
    return targets


def _test(shape: Shape, rng: Random) -> str:
    """Deny what no rule speaks of."""
    case = {"src": group(rng.randrange(shape.groups)), "deny": ["192.168.250.1:25"]}
    return f"{json.dumps(case)},"


def login(number: int) -> str:
    """Return the login of a user."""
    return f"person{number}@{DOMAIN}"


def group(number: int) -> str:
    """Return the name of a team."""
    return f"group:team-{number}"


def tag(number: int) -> str:
    """Return the name of a fleet."""
    return f"tag:fleet-{number}"


def host(number: int) -> str:
    """Return the name of a host alias."""
    return f"host-alias-{number}"


def site(number: int) -> str:
    """Return a prefix that routers bring in."""
    return f"10.{number % 200}.{number // 200 * 16}.0/20"


def address(number: int) -> str:
    """Return a device's IPv4 address."""
    return f"100.{64 + number // 65536}.{number // 256 % 256}.{number % 256}"


def write(directory: Path, devices: int = DEVICES) -> tuple[Path, Path]:
    """Write a load; return the paths of its policy and its inventory."""
    files = directory / f"policy-{devices}.hujson", directory / f"inventory-{devices}.json"
    files[0].write_text(policy(devices), encoding="utf-8")
    files[1].write_text(json.dumps(inventory(devices)), encoding="utf-8")
    return files


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--devices", type=int, default=DEVICES)
    options = parser.parse_args(arguments)
    print(*write(options.directory, options.devices), sep="\n")


if __name__ == "__main__":
    main()
