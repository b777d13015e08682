"""Points /etc/resolv.conf at MagicDNS and back, also after a crash (relay reference 6.6, direct).

The file is written in place, as containers mount it and hardened services may write nothing beside
it. What was there is kept in the agent's state directory; a copy that is there at the start means
that a run before this one crashed, and is put back first.
"""

from __future__ import annotations

import errno
import ipaddress
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from node.state.directory import StateDirectory

__all__ = ["SERVICE_ADDRESS", "ResolvConf", "nameservers", "recover", "resolv_conf_text"]

_HEADER: Final = "# Written by postern; the file that was here is restored when it stops.\n"
_BACKUP: Final = "resolver.json"
_MODE: Final = 0o644
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


def recover(directory: StateDirectory) -> Path | None:
    """Put back what a crashed agent replaced; return which file that was, None for nothing.

    Raises OSError or StateError.
    """
    backup = directory.read(_BACKUP)
    if backup is None:
        return None
    path = Path(str(backup.get("path")))
    ResolvConf(path, directory).restore()
    return path


class ResolvConf:
    """One resolv.conf. Every method may raise OSError or StateError."""

    def __init__(self, path: Path, directory: StateDirectory) -> None:
        self._path = path
        self._directory = directory

    def host_resolvers(self) -> tuple[str, ...]:
        """Return the host's own resolvers, from the copy while ours is in place."""
        held = self._read()
        if _is_ours(held):
            held = self._backup_text()
        return nameservers(held or "")

    def point_here(self, search: tuple[str, ...]) -> None:
        """Send the host's questions to MagicDNS; does nothing when they go there already."""
        wanted = resolv_conf_text(search)
        held = self._read()
        if held == wanted:
            return
        if not _is_ours(held):
            self._directory.write(_BACKUP, {"path": str(self._path), "text": held})
        self._write(wanted)

    def restore(self) -> None:
        """Put the host's own file back, unless somebody else wrote it meanwhile."""
        backup = self._directory.read(_BACKUP)
        if backup is None:
            return
        if _is_ours(self._read()):
            text = self._backup_text()
            if text is None:
                self._path.unlink()
            else:
                self._write(text)
        self._directory.delete(_BACKUP)

    def _backup_text(self) -> str | None:
        """Return what was in the file before, None for no file."""
        text = (self._directory.read(_BACKUP) or {}).get("text")
        return text if isinstance(text, str) else None

    def _write(self, text: str) -> None:
        """Overwrite the file in place, which is all that a hardened service may do to it.

        It is never empty: whatever fails, the file is the old one or the new one, at most with
        empty lines behind, and still to be told as ours or the host's.
        """
        data = text.encode()
        is_new = not self._path.exists()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            if is_new:
                # Everybody on the host reads it, whatever our umask.
                os.fchmod(descriptor, _MODE)
            whole = data.ljust(os.fstat(descriptor).st_size, b"\n")
            written = os.pwrite(descriptor, whole, 0)
            if written < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
            os.ftruncate(descriptor, len(data))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _read(self) -> str | None:
        return self._path.read_text() if self._path.exists() else None


def _is_ours(text: str | None) -> bool:
    return text is not None and text.startswith(_HEADER)
