"""Registration from the node's side: what each answer means."""

from __future__ import annotations

import os

import pytest

from control.keys import NodePrivate
from control.wire import Hostinfo, RegisterResponse
from control.wire import Login as WireLogin
from node.session.login import (
    Login,
    LoginFailed,
    NeedsBrowser,
    NewKey,
    Registered,
    logout_request,
)

KEY = NodePrivate(bytes([1]) * 32)
URL = "https://control.example/register/x"


@pytest.fixture
def login() -> Login:
    return Login(node_key=KEY, hostinfo=Hostinfo(), entropy=os.urandom, auth_key="hskey-x")


def test_registered(login: Login) -> None:
    response = RegisterResponse(login=WireLogin(login_name="ann"), machine_authorized=True)
    assert login.answer(response) == Registered(KEY, "ann", is_authorized=True)


def test_error_wins_over_everything_else(login: Login) -> None:
    response = RegisterResponse(error="no", node_key_expired=True, auth_url=URL)
    assert login.answer(response) == LoginFailed("no")


def test_url_is_followed_up_without_the_auth_key(login: Login) -> None:
    assert login.answer(RegisterResponse(auth_url=URL)) == NeedsBrowser(URL)
    assert login.request.followup == URL
    assert login.request.auth is None


def test_expired_key_is_replaced_and_named_as_the_old_one(login: Login) -> None:
    outcome = login.answer(RegisterResponse(node_key_expired=True, auth_url=URL))
    assert isinstance(outcome, NewKey)
    assert login.request.node_key == outcome.node_key.public != KEY.public
    assert login.request.old_node_key == KEY.public
    assert login.request.followup == ""


def test_server_that_calls_every_key_expired_is_given_up(login: Login) -> None:
    outcomes = [login.answer(RegisterResponse(node_key_expired=True)) for _ in range(3)]
    assert [type(outcome) for outcome in outcomes] == [NewKey, NewKey, LoginFailed]


def test_auth_key_is_not_shown(login: Login) -> None:
    assert "hskey-x" not in repr(login)


def test_logout_asks_for_an_end_in_the_past() -> None:
    assert logout_request(KEY.public).to_json()["Expiry"] == "1970-01-01T00:02:03Z"
