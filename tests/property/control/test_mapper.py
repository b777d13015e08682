"""Deltas against full maps: whatever happens, a stream folds to what a new stream would say.

And nobody hears of a node that the policy does not let it see.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from control.keys import DiscoPublic, NodePublic
from control.mapper.atlas import Atlas
from control.policies.checking import check_policy
from control.registry.ledger import Change
from control.registry.tailnet import Tailnet
from control.store.records import RegisterMethod, Role
from control.wire import DerpMap, DnsConfig, Hostinfo, MapResponse, parse_addr_port
from node.netmap.fold import fold, packet_filter
from tests.support.records import NOW, node_record, user_record

if TYPE_CHECKING:
    from control.mapper.session import MapSession
    from control.store.records import NodeRecord
    from node.netmap.netmap import NetMap
    from policy.model.document import Policy

TAGS = ["tag:a", "tag:b", "tag:c"]
OWNERS = '"tagOwners": {"tag:a": [], "tag:b": [], "tag:c": []}'
TEXTS = [
    "{" + OWNERS + "}",
    "{" + OWNERS + ', "acls": []}',
    "{"
    + OWNERS
    + ', "acls": [{"action": "accept", "src": ["tag:a"], "dst": ["tag:b:80"]}],'
    + ' "ssh": [{"action": "accept", "src": ["tag:a"], "dst": ["tag:b"], "users": ["root"]}]}',
    "{"
    + OWNERS
    + ', "acls": [{"action": "accept", "src": ["autogroup:member"], "dst": ["autogroup:self:*"]},'
    + ' {"action": "accept", "src": ["tag:c"], "dst": ["10.0.0.0/24:*", "autogroup:internet:*"]}]}',
    "{"
    + OWNERS
    + ', "postures": {"posture:os": ["node:os == \'os1\'"]}, "grants": ['
    + '{"src": ["tag:a"], "dst": ["tag:b"], "ip": ["443"], "srcPosture": ["posture:os"]},'
    + '{"src": ["autogroup:admin"], "dst": ["*"], "ip": ["22"]}],'
    + ' "nodeAttrs": [{"target": ["tag:c"], "attr": ["disable-ipv4", "funnel"]}],'
    + ' "ssh": [{"action": "check", "src": ["autogroup:admin"], "dst": ["autogroup:self"],'
    + ' "users": ["autogroup:nonroot"]}]}',
]


def load(text: str) -> Policy:
    policy = check_policy(text, None).policy
    assert policy is not None
    return policy


POLICIES = [load(text) for text in TEXTS]

DEVICE = 6
"""The number of the node that is a plain WireGuard device."""
KINDS = st.sampled_from(
    ["add", "add", "drop", "tags", "tags", "owner", "endpoints", "derp", "disco", "key", "online",
     "name", "routes", "expire", "revive", "policy", "lines", "hostinfo", "approve", "address",
     "version", "person", "dns", "relays"]
)  # fmt: skip
AFTER = st.sampled_from(["", "", "listen", "refresh", "refresh"])
"""What follows a change: nothing, viewers hear before there is another network, or with it."""
STEPS = st.lists(
    st.tuples(KINDS, st.integers(1, 6), st.integers(0, 4), AFTER), min_size=8, max_size=30
)


def comparable(netmap: NetMap) -> dict[int, Any]:
    """Return the peers; when a node was last seen means nothing while it is online."""
    return {
        number: replace(peer, last_seen=None) if peer.online else peer
        for number, peer in netmap.peers.items()
    }


def origins_of(netmap: NetMap) -> list[Any]:
    return [(rule.origins, rule.shares) for rule in packet_filter(netmap)]


class World:
    """A tailnet with an atlas, and viewers that fold what they hear."""

    def __init__(self) -> None:
        users = [user_record(id=1), user_record(id=2, name="bo", email="bo@example.com")]
        self.tailnet = Tailnet(
            users, [node_record(1), node_record(2, tags=("tag:b",), user_id=None)]
        )
        self.policy, self.in_force = 0, POLICIES[0]
        self.relays = DerpMap(regions={}, omit_default_regions=True)
        self.dns = DnsConfig(proxied=True)
        self.atlas = self.new_atlas()
        self.viewers: dict[int, tuple[MapSession, NetMap | None]] = {}

    def new_atlas(self) -> Atlas:
        return Atlas(
            self.tailnet,
            self.in_force,
            domain="tail.example",
            derp_map=self.relays,
            dns_config=self.dns,
            clock=lambda: NOW,
        )

    def do(self, kind: str, number: int, choice: int) -> None:
        node = self.tailnet.node(number)
        if kind in {"policy", "lines", "dns", "relays", "person"}:
            self.do_for_all(kind, number, choice)
            return
        if kind == "add" and node is None:
            self.tailnet.put_node(self.newcomer(number, choice))
        elif node is None:
            return
        elif kind == "drop":
            self.tailnet.drop_node(number)
        elif kind == "online":
            self.tailnet.set_online(number, is_online=bool(choice % 2))
        else:
            self.tailnet.put_node(replace(node, **self.change(kind, number, choice)))
        self.atlas.on_change(Change(nodes=frozenset({number})))
        if kind == "drop" and number in self.viewers:
            session, _ = self.viewers.pop(number)
            assert session.is_over
            self.atlas.close(session)

    def do_for_all(self, kind: str, number: int, choice: int) -> None:
        match kind:
            case "policy":
                self.policy, self.in_force = choice, POLICIES[choice]
                self.atlas.set_policy(self.in_force)
            case "lines":
                self.in_force = load("\n" * number + TEXTS[self.policy])
                self.atlas.set_policy(self.in_force)
            case "dns":
                self.dns = DnsConfig(proxied=bool(choice))
                self.atlas.set_dns(self.dns)
            case "relays":
                self.relays = DerpMap(regions={}, omit_default_regions=bool(choice % 2))
                self.atlas.set_derp_map(self.relays)
            case _:
                role = (Role.ADMIN, Role.MEMBER)[choice % 2]
                person = user_record(id=1, display_name=f"Ann {choice // 2}", role=role)
                self.tailnet.put_user(person)
                self.atlas.on_change(Change(users=frozenset({1})))

    @staticmethod
    def newcomer(number: int, choice: int) -> NodeRecord:
        how = RegisterMethod.WIREGUARD if number == DEVICE else RegisterMethod.CLI
        tags = (TAGS[choice - 1],) if choice in {1, 2, 3} else ()
        return node_record(
            number, user_id=None if tags else 1, tags=tags, register_method=how, last_seen=None
        )

    def change(self, kind: str, number: int, choice: int) -> dict[str, Any]:
        key = bytes([number, choice]) * 16
        match kind:
            case "tags":
                tags = ((), *((tag,) for tag in TAGS), tuple(TAGS))[choice]
                return {"tags": tags, "user_id": None if tags else 1}
            case "address":
                first = IPv4Address(f"100.65.{choice}.{number}")
                return {"ipv4": None if choice == 1 else first}
            case "version":
                return {"capability_version": 110 + choice}
            case "owner":
                return {"user_id": 1 + choice % 2, "tags": ()}
            case "endpoints":
                texts = [f"192.0.2.{number}:{port}" for port in range(1, choice + 1)]
                return {"endpoints": tuple(map(parse_addr_port, texts))}
            case "derp":
                return {"home_derp": 900 + choice if choice else 0}
            case "disco":
                return {"disco_key": DiscoPublic(key)}
            case "key":
                return {"node_key": NodePublic(key)}
            case "name":
                return {"given_name": f"name-{number}-{choice}"}
            case "routes":
                routes = ["10.0.0.0/24", "10.0.1.0/24", "0.0.0.0/0", "::/0"][:choice]
                hostinfo = Hostinfo({"OS": "linux", "RoutableIPs": routes})
                return {"hostinfo": hostinfo, "approved_routes": hostinfo.routable_ips}
            case "expire":
                return {"expires_at": NOW}
            case "revive":
                return {"expires_at": None}
            case "approve":
                return {"is_authorized": bool(choice)}
            case _:
                return {"hostinfo": Hostinfo({"OS": f"os{choice}", "BackendLogID": str(choice)})}

    def listen(self, number: int) -> None:
        """Let every viewer hear what there is; a new one may join."""
        is_new = self.tailnet.node(number) is not None and number not in self.viewers
        if is_new and number != DEVICE:
            self.viewers[number] = (self.atlas.open(number, wants_origins=number % 2 == 0), None)
        for viewer, (session, held) in list(self.viewers.items()):
            was_woken = session.wake.is_set()
            message = session.next_message(NOW)
            if message is None:
                continue
            assert was_woken or held is None, "news that nobody would have been woken for"
            self.check_discretion(viewer, message)
            decoded = MapResponse.from_json(json.loads(message))
            self.viewers[viewer] = (session, fold(held, decoded, NOW)[0])

    def check_discretion(self, viewer: int, message: bytes) -> None:
        """Nothing about an invisible node may stand in a message, its removal apart."""
        visible = {viewer, *self.atlas.network.peers(viewer)}
        told = json.loads(message)
        nodes = [*told.get("Peers", ()), *told.get("PeersChanged", ())]
        assert {node["ID"] for node in nodes} <= visible
        assert {patch["NodeID"] for patch in told.get("PeersChangedPatch", ())} <= visible
        assert b"BackendLogID" not in message

    def check_folds(self) -> None:
        fresh = self.new_atlas()
        for viewer, (_, held) in self.viewers.items():
            message = fresh.open(viewer, wants_origins=viewer % 2 == 0).next_message(NOW)
            assert message is not None
            expected, _ = fold(None, MapResponse.from_json(json.loads(message)), NOW)
            assert held is not None
            assert comparable(held) == comparable(expected)
            assert held.filters == expected.filters
            assert origins_of(held) == origins_of(expected)
            assert held.self_node == expected.self_node
            assert held.ssh_policy == expected.ssh_policy
            assert held.dns_config == expected.dns_config
            assert held.derp_map == expected.derp_map
            assert expected.user_profiles.items() <= held.user_profiles.items()
            self.check_is_known(viewer)

    def check_is_known(self, viewer: int) -> None:
        """Whom a viewer holds is whom it is counted to have been told of."""
        session, held = self.viewers[viewer]
        assert held is not None
        assert set(session.known_peers) == held.peers.keys()


@settings(max_examples=100)
@given(steps=STEPS)
@example(steps=[("drop", 2, 0, "listen"), ("add", 2, 0, "")])
def test_deltas_fold_to_the_full_map(steps: list[tuple[str, int, int, str]]) -> None:
    async def run() -> None:
        world = World()
        world.listen(1)
        for kind, number, choice, after in steps:
            world.do(kind, number, choice)
            if after == "refresh":
                await world.atlas.refresh()
            if after:
                world.listen(number)
            if after == "refresh":
                world.check_folds()
        await world.atlas.refresh()
        world.listen(2)
        world.check_folds()

    asyncio.run(run())


@settings(max_examples=50)
@given(steps=STEPS)
def test_nothing_is_said_when_nothing_changed(steps: list[tuple[str, int, int, str]]) -> None:
    async def run() -> None:
        world = World()
        for number in (1, 2):
            world.listen(number)
        for kind, number, choice, _ in steps:
            world.do(kind, number, choice)
        await world.atlas.refresh()
        world.listen(1)
        await world.atlas.refresh()
        for session, _ in world.viewers.values():
            assert session.next_message(NOW) is None

    asyncio.run(run())


def test_moved_lines_are_told_without_the_filter_and_only_to_who_asked() -> None:
    async def run() -> None:
        world = World()
        tagged = node_record(3, tags=("tag:b",), user_id=None)
        asking = node_record(4, tags=("tag:a",), user_id=None)
        for node in (tagged, asking):
            world.tailnet.put_node(node)
            world.atlas.on_change(Change(nodes=frozenset({node.id})))
        world.atlas.set_policy(POLICIES[2])
        await world.atlas.refresh()
        sessions = {
            number: world.atlas.open(number, wants_origins=number != 3) for number in (2, 3, 4)
        }
        first = {n: json.loads(session.next_message(NOW) or b"") for n, session in sessions.items()}
        assert "PosternOrigins" not in json.dumps(first[3])
        [rule] = first[2]["PacketFilters"]["base"]
        [[section, position, line, share]] = rule["PosternOrigins"]
        assert (section, position, share) == ("acls", 0, 2)
        world.atlas.set_policy(load("\n\n" + TEXTS[2]))
        await world.atlas.refresh()
        moved = json.loads(sessions[2].next_message(NOW) or b"")
        assert moved == {"PosternOrigins": {"base": [[["acls", 0, line + 2, share]]]}}
        # One did not ask, the other has no rule.
        assert sessions[3].next_message(NOW) is None
        assert sessions[4].next_message(NOW) is None

    asyncio.run(run())


def test_reach_is_for_those_who_take_part() -> None:
    async def run() -> None:
        world = World()
        world.tailnet.put_node(node_record(3, tags=("tag:a",), user_id=None))
        world.atlas.on_change(Change(nodes=frozenset({3})))
        world.atlas.set_policy(POLICIES[2])
        await world.atlas.refresh()
        [found] = world.atlas.reach(3)
        assert found.node_ids == (2,)
        assert world.atlas.reach(2) == ()
        world.do("expire", 3, 0)
        assert world.atlas.reach(3) == ()

    asyncio.run(run())


def test_postures_see_what_nodes_say_about_their_hosts() -> None:
    async def run() -> None:
        world = World()
        said = {"OS": "linux", "OSVersion": "6.1.0", "IPNVersion": "1.80.3-t1a2b"}
        for number, version in ((3, "6.1.0"), (4, "5.10.0")):
            hostinfo = Hostinfo({**said, "OSVersion": version})
            world.tailnet.put_node(
                node_record(number, tags=("tag:a",), user_id=None, hostinfo=hostinfo)
            )
            world.atlas.on_change(Change(nodes=frozenset({number})))
        world.atlas.set_policy(load(
            "{" + OWNERS
            + ', "postures": {"posture:new": ["node:os == \'linux\'", "node:osVersion >= \'6.0\'",'
            + ' "node:tsVersion >= \'1.80\'"]},'
            + ' "acls": [{"action": "accept", "src": ["tag:a"], "dst": ["tag:b:80"],'
            + ' "srcPosture": ["posture:new"]}]}'
        ))  # fmt: skip
        await world.atlas.refresh()
        assert [len(world.atlas.reach(number)) for number in (3, 4)] == [1, 0]
        # An upgrade counts as soon as it is reported.
        updated = world.tailnet.node(4)
        assert updated is not None
        world.tailnet.put_node(replace(updated, hostinfo=Hostinfo(said)))
        world.atlas.on_change(Change(nodes=frozenset({4})))
        await world.atlas.refresh()
        assert [len(world.atlas.reach(number)) for number in (3, 4)] == [1, 1]

    asyncio.run(run())
