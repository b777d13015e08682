"""A few rules over a few devices that change by one edit at a time.

Small, so that an edit matters to somebody more often than not. Each world draws for itself which
kinds of rules there are, and few values for each of their fields: rules of one kind would hide
what is done for those of another, and equal fields make rules that merge.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.directory import Directory, DirectoryNode, DirectoryUser, Route, Settings
from engine.netset.address import Address
from engine.netset.ranges import AddressRange
from policy.load import load
from policy.source import Source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from policy.model.document import Policy

ANN, BO, CY = "ann@corp.test", "bo@corp.test", "cy@corp.test"
TAGS = ("tag:a", "tag:b", "tag:c")

_SITES = ("10.1.0.0/16", "10.2.0.0/24", "fd00:1::/64")
_EXITS = ("0.0.0.0/0", "::/0")
_PEOPLE = (
    [ANN], [BO], [ANN, BO], ["group:dev"], ["group:ops"], ["group:staff@corp.test"],
    ["autogroup:member"], ["autogroup:admin"],
)  # fmt: skip
_MACHINES = (
    ["tag:a"], ["tag:b"], ["tag:c"], ["tag:a", "tag:b"], ["autogroup:tagged"], ["box"], ["spot"],
    ["10.1.0.0/16"], ["ipset:lab"], ["svc:web"],
)  # fmt: skip
_SOURCES = (*_PEOPLE, *_MACHINES[:-1], ["10.7.0.0/16"], ["*"], ["autogroup:danger-all"])
_TARGETS = (*_PEOPLE[:-1], *_MACHINES, ["tag:c", "tag:a"], [ANN, "tag:b"])
_POSTURE = (None, ["posture:linux"], ["posture:fresh"])
_NETWORK: dict[str, tuple[Any, ...]] = {
    "src": _SOURCES,
    "dst": _TARGETS,
    "srcPosture": _POSTURE,
}
_FIELDS: dict[str, dict[str, tuple[Any, ...]]] = {
    "acls": _NETWORK | {
        "action": ("accept",),
        "ports": ("22", "80", "80,443", "*"),
        "proto": (None, "tcp", "udp"),
    },
    "grants": _NETWORK | {
        "ip": (["22"], ["80"], ["tcp:80", "udp:53"], ["*"]),
        "app": (
            None,
            {"corp.test/cap/files": [{"shares": ["a"]}]},
            {"corp.test/cap/files": [{"shares": ["b"]}]},
            {"tailscale.com/cap/drive": [{"access": "ro"}]},
            {"tailscale.com/cap/relay": []},
        ),
        "via": (None, ["tag:a"], ["tag:b"], ["tag:b", "tag:c"]),
    },
    "ssh": {
        "action": ("accept", "check"),
        "src": (*_PEOPLE, ["tag:a"], ["autogroup:tagged"]),
        "dst": (["tag:a"], ["tag:b"], ["tag:a", "tag:c"], ["autogroup:self"], [ANN]),
        "users": (["root"], ["autogroup:nonroot"], ["deploy"], ["root", "ann"],
                  ["localpart:*@corp.test"]),
        "acceptEnv": (None, ["LANG"], ["GIT_*"]),
        "checkPeriod": (None, "1h"),
        "srcPosture": _POSTURE,
        "recorder": (None, ["tag:c"], ["tag:b"]),
        "enforceRecorder": (None, True),
    },
    "nodeAttrs": {
        "target": (["tag:a"], ["tag:b"], [ANN], ["group:dev"], ["*"], ["spot"]),
        "attr": (["disable-ipv4"], ["funnel"], None, ["disable-ipv4", "nextdns:abc"]),
        "app": (None, {"corp.test/x": [{"n": 1}]}, {"corp.test/x": [{"n": 2}]}),
    },
}  # fmt: skip
_PLAIN: dict[str, list[Any]] = {
    "srcPosture": [None],
    "app": [None],
    "via": [None],
    "ip": [["80"], ["22"]],
}
# Worlds of grants in which what rarely comes together does.
_RECIPES: tuple[dict[str, list[Any]], ...] = (
    # Rules that merge for some devices, in an order that follows from others.
    _PLAIN | {"src": [["10.7.0.0/16"], ["10.1.0.0/16"]], "dst": [[tag] for tag in TAGS]},
    # Rules that concern everybody, and then do not.
    _PLAIN | {"dst": [["*"], ["tag:a"], ["box"]]},
    # Rules about what lies behind routers, for some of these by their tag.
    _PLAIN | {"dst": [["10.1.0.0/16"], ["box"], ["ipset:lab"], ["autogroup:internet"]]},
    _PLAIN | {"dst": [["10.1.0.0/16"], ["box"]], "via": [None, ["tag:a"], ["tag:b"]]},
    # Rules of which one grants applications too.
    _PLAIN | {"app": [None, None, {"corp.test/cap/files": [{"shares": ["a"]}]}]},
)
_DEFINITIONS: dict[str, tuple[Any, ...]] = {
    "groups": tuple(
        {"group:dev": dev, "group:ops": ops}
        for dev, ops in (([ANN], [BO]), ([ANN, BO], [BO]), ([BO], [BO]), ([ANN], []), ([], [ANN]))
    ),
    "hosts": tuple(
        {"box": box, "spot": spot}
        for box, spot in (
            ("10.1.0.5", "100.64.0.1"), ("10.1.0.9", "100.64.0.1"), ("10.1.0.5", "100.64.0.2"),
            ("10.2.0.5", "100.64.0.1"),
            ("fd00:1::5", "100.64.0.0/30"),
        )
    ),
    "ipsets": (
        {"ipset:lab": ["10.1.4.0/24"]},
        {"ipset:lab": ["10.1.6.0/24"]},
        {"ipset:lab": ["add 10.1.4.0/24", "add 100.64.0.1"]},
        {"ipset:lab": ["add 10.0.0.0/8", "remove 10.1.0.0/16"]},
    ),
    "postures": tuple(
        {"posture:linux": ["node:os == 'linux'"], "posture:fresh": [f"node:osVersion >= '{least}'"]}
        for least in ("12", "13")
    ),
}  # fmt: skip
_GENERAL: dict[str, tuple[Any, ...]] = {
    "defaultSrcPosture": (None, ["posture:linux"]),
    "randomizeClientPort": (None, True),
    "disableIPv4": (None, True),
}
_OWNERS: tuple[tuple[str | None, tuple[str, ...]], ...] = (
    (ANN, ()), (BO, ()), (CY, ()), ("gone@corp.test", ()), (None, ("tag:a",)), (None, ("tag:b",)),
    (None, ("tag:c",)), (None, ("tag:a", "tag:b")),
)  # fmt: skip


class SmallWorld:
    """A policy and a directory; `edit` changes something of one of them."""

    policy: Policy
    directory: Directory

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._recipe = rng.choice(_RECIPES) if rng.random() < 0.5 else {}
        some = [name for name in _FIELDS if rng.random() < 0.5]
        sections = ["grants"] if self._recipe else some or ["acls"]
        self._document: dict[str, Any] = {"tagOwners": {tag: [] for tag in TAGS}}
        self._document |= {name: values[0] for name, values in _DEFINITIONS.items()}
        is_made = False
        while not is_made:
            self._pools = {name: self._few(name) for name in sections}
            is_made = self._try({name: self._rules(name) for name in sections})
        self._users = [
            DirectoryUser("1", ANN, "Ann", "owner"),
            DirectoryUser("2", BO, "Bo", "member"),
            DirectoryUser("3", CY, "Cy", "member"),
        ]
        self._settings = Settings(name="corp", domains=frozenset({"corp.test"}))
        self._spare = 0
        self._nodes: list[DirectoryNode] = []
        for _ in range(rng.choice((2, 3, 4, 5, 8))):
            self._add_node()
        self._settle()

    def edit(self) -> None:
        """Change one thing."""
        edits = [
            *[self._edit_rule] * 4,
            *[self._edit_definition] * 2,
            *[self._edit_node] * 4,
            *[self._exchange_nodes] * 2,
            self._move_rule,
            self._strip_rules,
            self._edit_user,
            self._edit_settings,
            self._add_nodes,
            self._drop_nodes,
        ]
        self._rng.choice(edits)()
        self._settle()

    # The policy.

    def _few(self, section: str) -> dict[str, list[Any]]:
        """Return a few values for each field; most of what may be absent is."""
        few: dict[str, list[Any]] = {}
        for field, values in _FIELDS[section].items():
            if values[0] is None and self._rng.random() < 0.5:
                few[field] = [None]
            else:
                few[field] = self._rng.sample(values, min(len(values), self._rng.choice((1, 2, 4))))
        if section in {"acls", "grants"} and self._rng.random() < 0.3:
            few["dst"].append([self._rng.choice(("autogroup:self", "autogroup:internet", "*"))])
        return few | self._recipe

    def _rules(self, section: str) -> list[dict[str, Any]]:
        return [self._rule(section) for _ in range(self._rng.randint(1, 4))]

    def _rule(self, section: str) -> dict[str, Any]:
        return {field: self._rng.choice(few) for field, few in self._pools[section].items()}

    def _edit_rule(self) -> None:
        section = self._rng.choice(list(self._pools))
        rules = list(self._document.get(section, ()))
        at = self._rng.randrange(len(rules) + 1)
        if at == len(rules):
            rules.insert(self._rng.randrange(at + 1), self._rule(section))
        elif self._rng.random() < 0.2:
            del rules[at]
        else:
            few = self._pools[section]
            varied = [field for field, values in few.items() if len(values) > 1]
            if varied and self._rng.random() < 0.7:
                field = self._rng.choice(varied)
                values: Sequence[Any] = few[field]
            else:
                field = self._rng.choice(list(few))
                values = _FIELDS[section][field]
            rules[at] = rules[at] | {field: self._other(rules[at][field], values)}
        self._try({section: rules})

    def _move_rule(self) -> None:
        section = self._rng.choice(list(self._pools))
        rules = list(self._document.get(section, ()))
        self._rng.shuffle(rules)
        self._try({section: rules})

    def _strip_rules(self) -> None:
        """Take one kind of field, such as applications or routers, out of all rules at once."""
        section = self._rng.choice(list(self._pools))
        field = self._rng.choice([n for n, values in _FIELDS[section].items() if None in values])
        self._try({section: [rule | {field: None} for rule in self._document.get(section, ())]})

    def _edit_definition(self) -> None:
        name, values = self._rng.choice(list({**_DEFINITIONS, **_GENERAL}.items()))
        self._try({name: self._other(self._document.get(name), values)})

    def _other(self, current: Any, values: Sequence[Any]) -> Any:
        """Return another value where there is one."""
        return self._rng.choice([value for value in values if value != current] or [current])

    def _try(self, sections: dict[str, Any]) -> bool:
        """Change the policy, unless what comes out is none: not all fields go together."""
        document = self._document | sections
        source = Source("small.hujson", _text(document))
        policy = load(source, domains=frozenset({"corp.test"})).policy
        if policy is None:
            return False
        self._document, self.policy = document, policy
        return True

    # The directory.

    def _settle(self) -> None:
        """Make the directory. Nodes in their places stay the same objects, as in a server."""
        self._nodes = [
            node if node.index == index else replace(node, index=index)
            for index, node in enumerate(self._nodes)
        ]
        self.directory = Directory(tuple(self._users), tuple(self._nodes), self._settings)

    def _node_fields(self, number: int) -> dict[str, list[dict[str, Any]]]:
        """Return what may be at a time, by what belongs together."""
        v4, v6 = Address.parse(f"100.64.0.{number}"), Address.parse(f"fd7a:115c:a1e0::{number:x}")
        other4, other6 = (
            Address.parse(f"100.64.1.{number}"),
            Address.parse(f"fd7a:115c:a1e0::1:{number:x}"),
        )
        routes = [(), _SITES[:1], _SITES[:2], _SITES[1:], _SITES]
        return {
            "owner": [{"user": user, "tags": tags} for user, tags in _OWNERS],
            "addresses": [
                {"ipv4": four, "ipv6": six}
                for four, six in ((v4, v6), (v4, None), (None, v6), (other4, v6), (v4, other6))
            ],
            "routes": [{"routes": tuple(map(_route, texts))} for texts in routes],
            "exit_routes": [{"exit_routes": ()}, {"exit_routes": _EXITS}],
            "online": [{"online": True}, {"online": False}],
            "attributes": [
                {"attributes": said}
                for said in ({}, {"node:os": "linux"}, {"node:os": "linux", "node:osVersion": "12"})
            ],
            "created": [{"created": f"2026-01-0{day}T00:00:00.000000000Z"} for day in (1, 2, 3)],
        }

    def _add_node(self) -> None:
        self._spare += 1
        fields: dict[str, Any] = {}
        for name, values in self._node_fields(self._spare).items():
            fields |= values[0] if self._rng.random() < 0.5 else self._rng.choice(values)
            if name == "owner":
                fields |= self._rng.choice(values)
        made = DirectoryNode(
            index=-1, id=str(self._spare), hostname=f"host-{self._spare}", **fields
        )
        self._nodes.insert(self._rng.randint(0, len(self._nodes)), made)

    def _add_nodes(self) -> None:
        for _ in range(self._rng.choice((1, 1, 2, 3))):
            self._add_node()

    def _drop_nodes(self) -> None:
        for _ in range(min(self._rng.choice((1, 1, 2, 3)), len(self._nodes))):
            del self._nodes[self._rng.randrange(len(self._nodes))]

    def _exchange_nodes(self) -> None:
        """Put two neighbours in each other's place; perhaps they take over what was the other's."""
        at = self._rng.randrange(max(len(self._nodes), 1))
        pair = self._nodes[at : at + 2]
        owners = [(node.user, node.tags) for node in pair]
        pair.reverse()
        if self._rng.random() < 0.7:
            pair = [
                replace(node, user=user, tags=tags)
                for node, (user, tags) in zip(pair, owners, strict=True)
            ]
        self._nodes[at : at + 2] = pair

    def _edit_node(self) -> None:
        if not self._nodes:
            return
        at = self._rng.randrange(len(self._nodes))
        node = self._nodes[at]
        values = self._rng.choice(list(self._node_fields(int(node.id)).values()))
        current = {name: getattr(node, name) for name in values[0]}
        self._nodes[at] = replace(node, **self._other(current, values))

    def _edit_user(self) -> None:
        at = self._rng.randrange(len(self._users))
        user = self._users[at]
        if self._rng.random() < 0.5:
            user = user._replace(role=self._rng.choice(("owner", "admin", "member")))
        else:
            groups = self._rng.choice(((), ("group:staff@corp.test",)))
            user = user._replace(groups=frozenset(groups))
        self._users[at] = user

    def _edit_settings(self) -> None:
        values: list[dict[str, Any]] = [
            *({"name": name} for name in ("corp", "corporation", None)),
            *({"auto_update": choice} for choice in (None, True, False)),
            *({"https_certificates": choice} for choice in (True, False)),
            *(
                {"services": {"svc:web": (Address.parse(text),)}}
                for text in ("100.64.0.1", "100.64.9.9")
            ),
        ]
        self._settings = self._settings._replace(**self._rng.choice(values))


def _route(text: str) -> Route:
    return Route(text, AddressRange.parse(text))


def _text(document: dict[str, Any]) -> str:
    written = dict(document)
    for section in _FIELDS.keys() & written.keys():
        written[section] = [_written(section, rule) for rule in written[section]]
    return json.dumps({name: value for name, value in written.items() if value is not None})


def _written(section: str, rule: dict[str, Any]) -> dict[str, Any]:
    """Return a rule as a policy has it: without what is absent, ports behind destinations."""
    written = {field: value for field, value in rule.items() if value is not None}
    if section == "acls":
        ports = written.pop("ports")
        written["dst"] = [f"{target}:{ports}" for target in written["dst"]]
    return written
