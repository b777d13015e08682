"""What a user should know before it hurts, in one line each."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

    from node.netmap.netmap import NetMap

__all__ = ["EXPIRY_WARNING", "health_lines"]

EXPIRY_WARNING: Final = timedelta(days=7)


def health_lines(
    netmap: NetMap | None,
    now: datetime,
    *,
    troubles: tuple[str, ...] = (),
    exit_node_missing: str = "",
) -> tuple[str, ...]:
    """Return what is wrong, or soon will be; the most pressing first."""
    lines = list(troubles)
    if exit_node_missing:
        lines.append(
            f"exit node {exit_node_missing} is not there: traffic for the internet is dropped"
        )
    expiry = netmap.self_node.key_expiry if netmap is not None else None
    if expiry is not None and expiry - now < EXPIRY_WARNING:
        lines.append(_expiry_line(expiry - now))
    if netmap is not None:
        lines += [text for text in netmap.health if text]
        lines += [m.text or m.title for _, m in sorted(netmap.display_messages.items())]
    return tuple(lines)


def _expiry_line(left: timedelta) -> str:
    if left <= timedelta():
        return "the node key has expired; run `postern up --force-reauth`"
    hours = int(left.total_seconds() // 3600)
    span = f"{hours // 24} days" if hours >= 48 else f"{hours} hours" if hours else "an hour"
    return f"the node key expires in {span}; run `postern up --force-reauth` before"
