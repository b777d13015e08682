"""What owners may do: tags and routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from control.policies.approval import approved_routes, may_tag
from control.policies.in_force import check_policy
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
    "tag:none": ["bo@example.com"],
  },
  "autoApprovers": {
    "routes": {
      "10.0.0.0/8": ["group:ops"], "192.168.0.0/16": ["tag:web"], "0.0.0.0/0": ["tag:sub"],
    },
    "exitNode": ["tag:web"],
  },
}"""
ANN = user_record(role=Role.MEMBER, groups=("oidc-group",))


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
        ("tag:sub", True),
        ("tag:member", True),
        ("tag:admins", False),
        ("tag:tagged", False),
        ("tag:none", False),
        ("tag:unknown", False),
    ],
)
def test_owners_may_tag(policy: Policy, tag: str, *, is_allowed: bool) -> None:
    assert may_tag(policy, ANN, tag) is is_allowed


def test_tag_without_owners_is_for_admins(policy: Policy) -> None:
    assert may_tag(policy, user_record(role=Role.ADMIN), "tag:admins")


def routes(policy: Policy, advertised: list[str], user: Any = ANN, **values: Any) -> list[str]:
    node = node_record(hostinfo=Hostinfo({"RoutableIPs": advertised}), **values)
    return [str(route) for route in approved_routes(policy, node, user)]


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
