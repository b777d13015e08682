"""Points /etc/resolv.conf at MagicDNS and back, also after a crash (relay reference 6.6, direct).

The file is written in place where it cannot be replaced, as in containers that mount it. What was
there is kept beside it; our header in the file at the start means that a run before this one
crashed, and the copy is put back first.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ResolvConf", "nameservers", "resolv_conf_text"]

_HEADER: Final = "# Written by postern; the file that was here is restored when it stops.\n"
_BACKUP_SUFFIX: Final = ".before-postern"
SERVICE_ADDRESS: Final = "100.100.100.100"


def resolv_conf_text(search: tuple[str, ...]) -> str:
    """Return the file that sends every question to MagicDNS."""
    lines = [_HEADER, f"nameserver {SERVICE_ADDRESS}\n"]
    if search:
        lines.append(f"search {' '.join(search)}\n")
    return "".join(lines)


def nameservers(text: str) -> tuple[str, ...]:
    """Return the resolvers that a resolv.conf names, ours left out."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            try:
                ip = ipaddress.ip_address(words[1])
            except ValueError:
                continue
            found.append(str(ip))
    return tuple(server for server in dict.fromkeys(found) if server != SERVICE_ADDRESS)


class ResolvConf:
    """One resolv.conf. Every method may raise OSError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._backup = path.with_name(path.name + _BACKUP_SUFFIX)
        self._written = ""

    def recover(self) -> None:
        """Put back what a crashed predecessor replaced."""
        if self._backup.exists() and self._read().startswith(_HEADER):
            self.restore()

    def host_resolvers(self) -> tuple[str, ...]:
        """Return the host's own resolvers, from the copy while ours is in place."""
        source = self._backup if self._backup.exists() else self._path
        return nameservers(source.read_text() if source.exists() else "")

    def point_here(self, search: tuple[str, ...]) -> None:
        """Send the host's questions to MagicDNS; does nothing when they go there already."""
        wanted = resolv_conf_text(search)
        held = self._read()
        if held == wanted:
            return
        if not held.startswith(_HEADER):
            self._backup.write_text(held)
        self._path.write_text(wanted)

    def restore(self) -> None:
        """Put the host's own file back, unless somebody else wrote it meanwhile."""
        if not self._backup.exists():
            return
        if self._read().startswith(_HEADER):
            self._path.write_text(self._backup.read_text())
        self._backup.unlink()

    def _read(self) -> str:
        return self._path.read_text() if self._path.exists() else ""
