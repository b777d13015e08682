"""`ssh` rules, checked in the order in which the service does (policy reference 2.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.lower.fields import Fields
from policy.lower.network import posture_names
from policy.lower.places import FOREIGN, SSH_DESTINATION, SSH_SOURCE
from policy.model.durations import DurationError, format_duration, parse_duration
from policy.model.rules import CHECK_ALWAYS, SshRule
from policy.model.selectors import Tag, parse_selector

if TYPE_CHECKING:
    from collections.abc import Iterable

    from policy.hujson.tree import Object
    from policy.lower.places import SelectorReader
    from policy.model.selectors import Selector
    from policy.model.term import Term

__all__ = ["lower_ssh"]

_FIELDS = {
    "action": "action",
    "src": "src",
    "dst": "dst",
    "users": "users",
    "checkperiod": "checkPeriod",
    "acceptenv": "acceptEnv",
    "srcposture": "srcPosture",
    "recorder": "recorder",
    "enforcerecorder": "enforceRecorder",
}
_LONGEST_CHECK_NS = 168 * 3_600_000_000_000
_LOCALPART = "localpart:*@"


def lower_ssh(objects: Iterable[Object], reader: SelectorReader) -> tuple[SshRule, ...]:
    """Read every ssh rule."""
    return tuple(_rule(place, node, reader) for place, node in enumerate(objects))


def _rule(position: int, node: Object, reader: SelectorReader) -> SshRule:
    found = reader.found
    fields = Fields(node, _FIELDS, found)
    check = _is_check(fields, reader)
    users = _users(fields, reader)
    period = _check_period(fields, reader)
    accept_env = fields.strings("acceptEnv")
    for pattern in accept_env:
        if not pattern.text:
            found.meaning("POL228", "acceptEnv values cannot be empty", pattern.span)
    return SshRule(
        position=position,
        span=node.span,
        line=found.source.position(node.start).line,
        check=check,
        src=reader.read_all(fields.strings("src"), SSH_SOURCE),
        dst=reader.read_all(fields.strings("dst"), SSH_DESTINATION),
        users=users,
        check_period_ns=period,
        accept_env=tuple(pattern.text for pattern in accept_env),
        src_posture=posture_names(fields, reader),
        recorder=_recorders(fields, reader),
        enforce_recorder=bool(fields.boolean("enforceRecorder")),
    )


def _is_check(fields: Fields, reader: SelectorReader) -> bool:
    action = fields.string("action")
    if action is None or not action.text:
        reader.found.meaning(
            "POL211",
            "action must be specified",
            action.span if action else fields.node.span,
            help="write `accept`, or `check` to have users prove their identity again",
        )
        return False
    if action.text not in {"accept", "check"}:
        reader.found.meaning(
            "POL212",
            f'"{action.text}" is not a valid action',
            action.span,
            help="the actions are `accept` and `check`, in lower case",
        )
    return action.text == "check"


def _users(fields: Fields, reader: SelectorReader) -> tuple[str, ...]:
    users = fields.strings("users")
    if not users:
        reader.found.meaning(
            "POL213",
            "users must be specified",
            fields.span("users"),
            help="name accounts, or `autogroup:nonroot` for every account but root",
        )
    for user in users:
        if user.text in {"", "*"}:
            reader.found.meaning(
                "POL214",
                f'user "{user.text}" is not valid',
                user.span,
                help="`autogroup:nonroot` stands for every account but root",
            )
        domain = localpart_domain(user.text)
        if domain and reader.names.is_foreign(domain):
            reader.found.meaning(
                "POL309",
                FOREIGN.format(domain=domain),
                user.span,
                help="only a mail domain of this tailnet can be used",
            )
    return tuple(user.text for user in users)


def localpart_domain(user: str) -> str | None:
    """Return the domain of `localpart:*@domain`; None for every other account name."""
    domain = user.removeprefix(_LOCALPART)
    return domain if domain and domain != user else None


def _check_period(fields: Fields, reader: SelectorReader) -> int | None:
    period = fields.string("checkPeriod")
    if period is None or not period.text:
        return None
    if period.text == "always":
        return CHECK_ALWAYS
    try:
        nanoseconds = parse_duration(period.text)
    except DurationError as error:
        reader.found.meaning(
            "POL224", str(error), period.span, help="write `20h`, `1h30m`, `45m` or `always`"
        )
        return None
    problem = None
    if nanoseconds < 0:
        problem = "must be a positive duration"
    elif nanoseconds > _LONGEST_CHECK_NS:
        problem = "is above the max (168h)"
    if problem:
        reader.found.meaning(
            "POL225",
            f"checkPeriod {format_duration(nanoseconds)} {problem}",
            period.span,
            help="a check period is at least 0 and at most `168h`",
        )
    return nanoseconds


def _recorders(fields: Fields, reader: SelectorReader) -> tuple[Selector, ...]:
    terms: list[Term] = fields.strings("recorder")
    for term in terms:
        if not isinstance(parse_selector(term.text), Tag):
            reader.found.meaning(
                "POL401",
                f'recorder "{term.text}" is not a tag',
                term.span,
                help="name the tag of the recorder nodes",
            )
    return reader.read_all(
        [t for t in terms if isinstance(parse_selector(t.text), Tag)], SSH_DESTINATION
    )
