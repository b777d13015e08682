"""Routes approved by the policy alone, and who may tag what."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.compile.approval import Applicant, approved_routes, approves_service, may_tag
from engine.netset.prefix import Prefix
from policy.load import load
from policy.model.document import Policy  # noqa: TC001  used in signatures at run time
from policy.source import Source

ANN = Applicant(login="ann@corp.example")
ROUTER = Applicant(tags=("tag:router",), login="ann@corp.example")


def policy(**sections: Any) -> Policy:
    text = {
        "groups": {"group:net": ["ann@corp.example"]},
        "tagOwners": {"tag:router": ["group:net"], "tag:exit": ["tag:router"], "tag:bare": []},
        **sections,
    }
    loaded = load(Source("policy", json.dumps(text)))
    assert loaded.policy is not None, loaded.diagnostics
    return loaded.policy


def approved(approvers: dict[str, Any], applicant: Applicant, *routes: str) -> list[str]:
    found = approved_routes(
        policy(autoApprovers=approvers), applicant, [Prefix.parse(route) for route in routes]
    )
    return [str(route) for route in found]


@pytest.mark.parametrize(
    ("route", "is_approved"),
    [
        ("10.1.0.0/16", True),
        ("10.1.2.0/24", True),
        ("10.0.0.0/8", False),
        ("10.2.0.0/16", False),
        ("fd00:1::/64", False),
    ],
)
def test_route_lies_inside_the_entry(route: str, *, is_approved: bool) -> None:
    found = approved({"routes": {"10.1.0.0/16": ["tag:router"]}}, ROUTER, route)
    assert bool(found) is is_approved


def test_any_entry_suffices() -> None:
    routes = {"10.0.0.0/8": ["bo@corp.example"], "10.1.0.0/16": ["group:net"]}
    assert approved({"routes": routes}, ANN, "10.1.2.0/24") == ["10.1.2.0/24"]


def test_tagged_device_is_known_by_its_tags_only() -> None:
    assert not approved({"routes": {"10.0.0.0/8": ["ann@corp.example"]}}, ROUTER, "10.1.0.0/16")


def test_all_addresses_as_an_entry_approve_subnets_but_no_exit() -> None:
    routes = {"0.0.0.0/0": ["tag:router"], "::/0": ["tag:router"]}
    asked = ("0.0.0.0/0", "::/0", "192.168.0.0/24", "fd00::/64")
    assert approved({"routes": routes}, ROUTER, *asked) == ["192.168.0.0/24", "fd00::/64"]


def test_exit_routes_are_approved_as_exit_nodes() -> None:
    asked = ("0.0.0.0/0", "::/0", "10.0.0.0/8")
    assert approved({"exitNode": ["tag:router"]}, ROUTER, *asked) == ["0.0.0.0/0", "::/0"]


def test_services() -> None:
    known = policy(autoApprovers={"services": {"svc:print": ["tag:router"]}})
    assert approves_service(known, ROUTER, "svc:print")
    assert not approves_service(known, ROUTER, "svc:scan")
    assert not approves_service(known, ANN, "svc:print")


@pytest.mark.parametrize(
    ("applicant", "tag", "allowed"),
    [
        (ANN, "tag:router", True),
        (Applicant(login="bo@corp.example"), "tag:router", False),
        (Applicant(login="bo@corp.example", role="network-admin"), "tag:router", True),
        (Applicant(login="bo@corp.example", role="it-admin"), "tag:router", False),
        (ANN, "tag:bare", False),
        (Applicant(login="root@corp.example", role="owner"), "tag:bare", True),
        (Applicant(login="root@corp.example", role="owner"), "tag:unknown", False),
        # One hop: who owns tag:router does not thereby own what tag:router owns.
        (ANN, "tag:exit", False),
        (ROUTER, "tag:exit", True),
    ],
)
def test_who_may_tag(applicant: Applicant, tag: str, *, allowed: bool) -> None:
    assert may_tag(policy(), applicant, tag) is allowed
