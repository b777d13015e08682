"""Tells systemd-resolved which names are the tailnet's: split DNS, and the host's own stays.

The settings hang on the interface, so a crash leaves nothing behind.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Final

from node.dns.resolv_conf import SERVICE_ADDRESS

if TYPE_CHECKING:
    from pathlib import Path

    from node.dns.zone import Zone

__all__ = ["is_in_charge", "revert", "settings", "tell"]

_STUB: Final = "nameserver 127.0.0.53"
_LIMIT_S: Final = 5.0


def is_in_charge(resolv_conf: Path) -> bool:
    """Whether the host's resolver is systemd-resolved and can be told."""
    if shutil.which("resolvectl") is None or not resolv_conf.exists():
        return False
    return _STUB in resolv_conf.read_text()


def settings(interface: str, zone: Zone, server: str = SERVICE_ADDRESS) -> list[list[str]]:
    """Return the commands that hand the tailnet's names, or all names, to MagicDNS at `server`."""
    # An empty suffix in the tailnet's routes means that it wants every question.
    takes_all = bool(zone.routes.get(""))
    # A domain to search leads here as well; named a second time with `~` it would do only that.
    routed = (zone.local_domains | zone.routes.keys()) - {"", *zone.search}
    domains = [*zone.search, *(f"~{name}" for name in sorted(routed))]
    if takes_all:
        domains.append("~.")
    return [
        ["resolvectl", "dns", interface, server],
        ["resolvectl", "domain", interface, *domains],
        ["resolvectl", "default-route", interface, "yes" if takes_all else "no"],
    ]


def tell(interface: str, zone: Zone, server: str) -> None:
    """Run the commands. Raises OSError with what resolvectl said."""
    for command in settings(interface, zone, server):
        _run(command)


def revert(interface: str) -> None:
    """Take the settings back. Raises OSError."""
    _run(["resolvectl", "revert", interface])


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(  # noqa: S603  fixed program, names of the netmap as arguments
            command, capture_output=True, text=True, check=False, timeout=_LIMIT_S
        )
    except subprocess.TimeoutExpired:
        raise OSError(f"{' '.join(command[:3])}: no answer") from None
    if done.returncode:
        raise OSError(f"{' '.join(command[:3])}: {done.stderr.strip()}")
