"""What rows become when the policy is asked about tags and routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from control.policies.applicants import approved_routes, may_tag
from control.policies.checking import check_policy
from control.store.records import Role
from control.wire import Hostinfo
from tests.support.records import node_record, user_record

if TYPE_CHECKING:
    from policy.model.document import Policy

TEXT = """{
  "groups": {"group:ops": ["ann@example.com"]},
  "tagOwners": {
    "tag:web": ["ann@example.com"], "tag:ops": ["group:ops"], "tag:sub": ["tag:ops"],
    "tag:admins": [], "tag:member": ["autogroup:member"], "tag:tagged": ["tag:none"],
    "tag:none": ["bo@example.com"], "tag:provided": ["group:net@example.com"],
  },
  "autoApprovers": {
    "routes": {
      "10.0.0.0/8": ["group:ops"], "192.168.0.0/16": ["tag:web"], "0.0.0.0/0": ["tag:sub"],
    },
    "exitNode": ["tag:web"],
  },
}"""
ANN = user_record(role=Role.MEMBER, groups=("net@example.com",))


@pytest.fixture(scope="module")
def policy() -> Policy:
    checked = check_policy(TEXT, None)
    assert checked.policy is not None, checked.problems
    return checked.policy


@pytest.mark.parametrize(
    ("tag", "is_allowed"),
    [
        ("tag:web", True),
        ("tag:ops", True),
        ("tag:sub", False),
        ("tag:provided", True),
        ("tag:member", True),
        ("tag:admins", False),
        ("tag:tagged", False),
        ("tag:none", False),
        ("tag:unknown", False),
    ],
)
def test_owners_may_tag(policy: Policy, tag: str, *, is_allowed: bool) -> None:
    assert may_tag(policy, ANN, tag) is is_allowed


@pytest.mark.parametrize("role", [Role.OWNER, Role.ADMIN, Role.NETWORK_ADMIN])
@pytest.mark.parametrize("tag", ["tag:admins", "tag:none"])
def test_network_administrators_may_put_every_tag(policy: Policy, role: Role, tag: str) -> None:
    assert may_tag(policy, user_record(role=role), tag)


def test_other_administrators_need_to_be_owners(policy: Policy) -> None:
    assert not may_tag(policy, user_record(role=Role.IT_ADMIN), "tag:none")


def routes(policy: Policy, advertised: list[str], user: Any = ANN, **values: Any) -> list[str]:
    node = node_record(hostinfo=Hostinfo({"RoutableIPs": advertised}), **values)
    approved = approved_routes(policy, node, user, node.hostinfo.routable_ips)
    return [str(route) for route in approved]


def test_owner_of_a_tagged_node_does_not_count(policy: Policy) -> None:
    assert not routes(policy, ["10.1.0.0/16"], tags=("tag:none",))


def test_routes_inside_an_entry_are_approved(policy: Policy) -> None:
    advertised = ["10.1.0.0/16", "10.0.0.0/8", "8.0.0.0/6", "172.16.0.0/12"]
    assert routes(policy, advertised) == ["10.1.0.0/16", "10.0.0.0/8"]


def test_tagged_nodes_match_by_their_tags_only(policy: Policy) -> None:
    advertised = ["10.1.0.0/16", "192.168.1.0/24"]
    assert routes(policy, advertised, tags=("tag:web",)) == ["192.168.1.0/24"]


def test_exit_routes_need_an_entry_of_their_own(policy: Policy) -> None:
    advertised = ["0.0.0.0/0", "::/0", "8.8.8.0/24"]
    assert routes(policy, advertised, tags=("tag:sub",)) == ["8.8.8.0/24"]
    assert routes(policy, advertised, tags=("tag:web",)) == ["0.0.0.0/0", "::/0"]
