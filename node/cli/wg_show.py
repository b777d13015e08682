"""The text of `wg show`, line for line."""

from __future__ import annotations

import time
from typing import Any

_UNITS = (
    (365 * 24 * 3600, "year"),
    (24 * 3600, "day"),
    (3600, "hour"),
    (60, "minute"),
    (1, "second"),
)
_NS_PER_S = 10**9


def render_show(status: dict[str, Any]) -> str:
    """Return the lines for one interface, without a newline at the end."""
    lines = [
        f"interface: {status['interface']}",
        f"  public key: {status['public_key']}",
        "  private key: (hidden)",
        f"  listening port: {status['listen_port']}",
    ]
    if status["fwmark"]:
        lines.append(f"  fwmark: {status['fwmark']:#x}")
    for peer in sorted(status["peers"], key=lambda peer: -peer["latest_handshake_ns"]):
        lines += ["", *_peer(peer)]
    return "\n".join(lines)


def _peer(peer: dict[str, Any]) -> list[str]:
    lines = [f"peer: {peer['public_key']}"]
    if peer["has_preshared_key"]:
        lines.append("  preshared key: (hidden)")
    if peer["endpoint"]:
        lines.append(f"  endpoint: {peer['endpoint']}")
    lines.append(f"  allowed ips: {', '.join(peer['allowed_ips']) or '(none)'}")
    if peer["latest_handshake_ns"]:
        lines.append(f"  latest handshake: {_ago(peer['latest_handshake_ns'])}")
    if peer["received_bytes"] or peer["sent_bytes"]:
        received, sent = _size(peer["received_bytes"]), _size(peer["sent_bytes"])
        lines.append(f"  transfer: {received} received, {sent} sent")
    if peer["persistent_keepalive_s"]:
        lines.append(f"  persistent keepalive: every {span(peer['persistent_keepalive_s'])}")
    return lines


def _ago(unix_ns: int) -> str:
    seconds = (time.time_ns() - unix_ns) // _NS_PER_S
    if seconds < 0:
        return "(" + "System clock wound backward; connection problems may ensue." + ")"
    return f"{span(seconds)} ago" if seconds else "Now"


def span(seconds: int) -> str:
    """Return a time span as wg writes it: `1 minute, 5 seconds`."""
    parts = []
    for size, name in _UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}{'s' if count > 1 else ''}")
    return ", ".join(parts)


def _size(count: int) -> str:
    if count < 1 << 10:
        return f"{count} B"
    for shift, unit in ((20, "KiB"), (30, "MiB"), (40, "GiB")):
        if count < 1 << shift:
            return f"{count / (1 << shift - 10):.2f} {unit}"
    return f"{count / (1 << 40):.2f} TiB"
