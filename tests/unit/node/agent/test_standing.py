"""The agent's state, in words that scripts compare with."""

from __future__ import annotations

import pytest

from node.agent.control_session import SessionState
from node.agent.standing import Standing
from node.agent.status import BackendState


def test_url_to_log_in_at_is_shown_and_goes_with_the_next_news() -> None:
    standing = Standing()
    standing.on_session(SessionState.NEEDS_LOGIN, "https://control.test/register/1")
    assert standing.state == BackendState.NEEDS_LOGIN
    assert standing.auth_url.endswith("/register/1")
    standing.on_session(SessionState.STREAMING, "")
    assert not standing.auth_url


@pytest.mark.parametrize(
    ("text", "error"),
    [("the key was used", "the key was used"), ("", "the control server does not know this node")],
)
def test_failed_login_says_why(text: str, error: str) -> None:
    standing = Standing()
    standing.on_session(SessionState.NEEDS_LOGIN, text)
    assert (standing.auth_url, standing.login_error) == ("", error)
    standing.on_session(SessionState.STREAMING, "")
    assert standing.login_error == ""


def test_lost_session_is_a_trouble_until_the_next_try() -> None:
    standing = Standing(state=BackendState.RUNNING)
    standing.on_session(SessionState.STREAMING, "")
    online = [standing.is_online]
    standing.on_session(SessionState.OFFLINE, "refused")
    assert [*online, standing.is_online] == [True, False]
    assert standing.troubles == {"control": "no connection to the control server: refused"}
    standing.on_session(SessionState.CONNECTING, "")
    assert standing.troubles == {}
    assert standing.state == BackendState.RUNNING, "traffic goes on meanwhile"


def test_connecting_starts_what_did_not_run() -> None:
    standing = Standing()
    standing.on_session(SessionState.CONNECTING, "")
    assert standing.state == BackendState.STARTING
    standing.on_applied()
    assert standing.state == BackendState.RUNNING


def test_waiting_node_does_not_run_because_something_was_applied() -> None:
    standing = Standing()
    standing.on_session(SessionState.NEEDS_APPROVAL, "")
    standing.on_applied()
    assert standing.state == BackendState.NEEDS_MACHINE_AUTH


def test_trouble_is_news_once() -> None:
    standing = Standing()
    assert standing.note("host", "no nft")
    assert not standing.note("host", "no nft")
    assert standing.note("host", "no tun")
    assert standing.note("host", "")
    assert not standing.note("host", "")


def test_what_was_applied_settles_filter_and_host_only() -> None:
    standing = Standing()
    for part in ("filter", "host", "names"):
        standing.note(part, "wrong")
    standing.on_applied()
    assert standing.troubles == {"names": "wrong"}


def test_what_was_wrong_with_a_tunnel_goes_with_it() -> None:
    standing = Standing()
    for part in ("control", "disk", "filter", "host", "names"):
        standing.note(part, "wrong")
    standing.note_relay(1, "no answer")
    standing.on_detached()
    assert set(standing.troubles) == {"control", "disk"}
    standing.on_session_ended()
    assert set(standing.troubles) == {"disk"}
