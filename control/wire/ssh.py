"""SSH policy of a node (control reference 4.11): the first rule that matches decides."""

# ruff: noqa: RUF009  (the calls in field defaults declare fields; they make no values)

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from control.wire._codec import Message, always, list_of, map_of, maybe, message, plain
from control.wire._scalars import BOOL, NANOSECONDS, OBJECT, TEXT, TIME

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from control.wire._codec import Json

__all__ = ["SshAction", "SshPolicy", "SshPrincipal", "SshRule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SshPrincipal(Message):
    """Who connects; exactly one field is set."""

    node: str = plain("node", TEXT, zero="")
    """Stable ID."""
    node_ip: str = plain("nodeIP", TEXT, zero="")
    user_login: str = plain("userLogin", TEXT, zero="")
    any: bool = plain("any", BOOL, zero=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SshAction(Message):
    """What happens to a session: accept, reject, or ask the server."""

    message: str = plain("message", TEXT, zero="")
    reject: bool = plain("reject", BOOL, zero=False)
    accept: bool = plain("accept", BOOL, zero=False)
    session_duration: timedelta | None = maybe("sessionDuration", NANOSECONDS)
    allow_agent_forwarding: bool = plain("allowAgentForwarding", BOOL, zero=False)
    hold_and_delegate: str = plain("holdAndDelegate", TEXT, zero="")
    """URL to fetch the real action from, with placeholders that the node fills in."""
    allow_local_port_forwarding: bool = plain("allowLocalPortForwarding", BOOL, zero=False)
    allow_remote_port_forwarding: bool = plain("allowRemotePortForwarding", BOOL, zero=False)
    recorders: tuple[str, ...] | None = maybe("recorders", list_of(TEXT))
    on_recording_failure: Mapping[str, Json] | None = maybe("onRecordingFailure", OBJECT)


@dataclass(frozen=True, slots=True, kw_only=True)
class SshRule(Message):
    """Principals, the local users they may become, and the action."""

    rule_expires: datetime | None = maybe("ruleExpires", TIME)
    principals: tuple[SshPrincipal, ...] = always(
        "principals", list_of(message(SshPrincipal)), zero=()
    )
    ssh_users: Mapping[str, str] | None = maybe("sshUsers", map_of(TEXT))
    """Requested user to local user: `=` for the same, empty for denied, key `*` for any."""
    action: SshAction = always("action", message(SshAction), zero=SshAction())
    accept_env: tuple[str, ...] | None = maybe("acceptEnv", list_of(TEXT))


@dataclass(frozen=True, slots=True, kw_only=True)
class SshPolicy(Message):
    """All rules of a node; none lets nobody in."""

    rules: tuple[SshRule, ...] = always("rules", list_of(message(SshRule)), zero=())
