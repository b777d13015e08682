"""What register requests ask for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from control.identity.register_plan import (
    AuthKeyLogin,
    Continue,
    FollowUp,
    KeyExpired,
    LogOut,
    NewLogin,
    Refuse,
    RegisterPlan,
    Shorten,
    plan_registration,
)
from control.keys import NodePublic
from control.registry.tailnet import Tailnet
from control.wire import LOGOUT_TIME, RegisterAuth, RegisterRequest
from tests.support.records import NOW, node_record, user_record

HOUR = timedelta(hours=1)
LIVING = node_record(1, expires_at=NOW + HOUR)
OVER = node_record(2, expires_at=NOW - HOUR)
TAILNET = Tailnet([user_record()], [LIVING, OVER])
NEW = node_record(9)


def plan(node: Any = NEW, *, machine: Any = None, **values: Any) -> RegisterPlan:
    request = RegisterRequest(version=113, node_key=node.node_key, **values)
    return plan_registration(request, machine or node.machine_key, TAILNET, NOW)


def test_known_node_is_told_so() -> None:
    assert plan(LIVING) == Continue(LIVING)


def test_expired_node_needs_a_new_key() -> None:
    assert plan(OVER) == KeyExpired(OVER)


def test_unknown_node_needs_a_person() -> None:
    assert plan(NEW) == NewLogin()


def test_auth_key_counts_for_new_and_expired_nodes() -> None:
    auth = RegisterAuth(auth_key="x")
    assert plan(NEW, auth=auth) == AuthKeyLogin("x", None)
    assert plan(OVER, auth=auth) == AuthKeyLogin("x", None)
    assert plan(LIVING, auth=auth) == AuthKeyLogin("x", LIVING)


def test_logout_wins_over_everything_else() -> None:
    auth = RegisterAuth(auth_key="x")
    assert plan(LIVING, auth=auth, expiry=LOGOUT_TIME, followup="x") == LogOut(LIVING)


def test_logout_of_a_foreign_node_looks_like_one_of_an_unknown_node() -> None:
    foreign = plan(LIVING, machine=NEW.machine_key, expiry=LOGOUT_TIME)
    assert foreign == plan(NEW, expiry=LOGOUT_TIME) == LogOut(None)


def test_foreign_node_key_looks_like_an_unknown_one() -> None:
    for values in ({}, {"auth": RegisterAuth(auth_key="x")}, {"expiry": NOW + HOUR}):
        assert plan(LIVING, machine=NEW.machine_key, **values) == plan(NEW, **values)


def test_expiry_may_be_shortened_but_not_extended() -> None:
    earlier, later = NOW + HOUR / 2, NOW + 2 * HOUR
    assert plan(LIVING, expiry=earlier) == Shorten(LIVING, earlier)
    assert isinstance(plan(LIVING, expiry=later), Refuse)


def test_follow_up_takes_the_login_out_of_the_path() -> None:
    assert plan(followup="https://any.example/register/hskey-authreq-00ff") == FollowUp(
        "hskey-authreq-00ff"
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://any.example/register/",
        "https://any.example/register/a/b",
        "https://any.example/register/a?x",
        "https://any.example/x/register/a",
        "https://any.example",
        "/register/a",
        "https://any.example/register/" + "a" * 65,
        "https://any.example/register/é",
    ],
)
def test_other_follow_ups_are_refused(url: str) -> None:
    assert isinstance(plan(followup=url), Refuse)


def test_zero_node_key_is_refused() -> None:
    request = RegisterRequest(version=113, node_key=NodePublic.zero())
    assert isinstance(plan_registration(request, NEW.machine_key, TAILNET, NOW), Refuse)
