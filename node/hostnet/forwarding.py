"""Forwarding of packets between the tunnel and the networks behind this host: on, and off again.

What the kernel's switches said before is kept in the name of a chain of our table. It thus lives as
long as the table does, and no longer: through a crash, not through a reboot.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from node.hostnet.ruleset import TABLE_PREFIX, forwarding_ruleset, record_of, removal

__all__ = ["Forwarding", "ForwardingError"]

_SWITCHES: Final = (
    Path("/proc/sys/net/ipv4/ip_forward"),
    Path("/proc/sys/net/ipv6/conf/all/forwarding"),
)


class ForwardingError(OSError):
    """nft is missing or refused our table; the message is its own."""


class Forwarding:
    """One interface's nftables table, and the switches that it needs."""

    def __init__(self, interface: str) -> None:
        self._interface = interface

    def recover(self) -> None:
        """Take away what a run before this one left. Raises ForwardingError or OSError."""
        if self._record(self._interface) is not None:
            self.turn_off()

    def turn_on(self, *, masquerades: bool) -> None:
        """Let the tunnel's packets through. Raises ForwardingError or OSError."""
        record = self._record(self._interface)
        if record is None:
            # Another agent of this host may have turned the switches already.
            others = (self._record(interface) for interface in self._others())
            record = next((found for found in others if found), None) or _read_switches()
        # The table first: it is what remembers the switches.
        _nft(forwarding_ruleset(self._interface, masquerades=masquerades, record=record))
        for path in _SWITCHES:
            if path.exists() and path.read_text().strip() == "0":
                path.write_text("1\n")

    def turn_off(self) -> None:
        """Take the table away; the last to go puts the switches back. Raises OSError."""
        record = self._record(self._interface)
        if record is not None and not self._others():
            for path, text in zip(_SWITCHES, record, strict=True):
                if text and path.exists():
                    path.write_text(f"{text}\n")
        _nft(removal(self._interface))

    def _others(self) -> list[str]:
        """Return the interfaces of other agents that forward."""
        tables = [item["table"] for item in _listed("tables", "inet") if "table" in item]
        names = [str(table["name"]) for table in tables]
        return [
            name.removeprefix(TABLE_PREFIX)
            for name in names
            if name.startswith(TABLE_PREFIX) and name != TABLE_PREFIX + self._interface
        ]

    def _record(self, interface: str) -> tuple[str, ...] | None:
        """Return what the switches said before an interface's table came; None without one."""
        for item in _listed("chains", "inet"):
            chain = item.get("chain", {})
            if chain.get("table") == TABLE_PREFIX + interface:
                record = record_of(str(chain["name"]))
                if record is not None:
                    return record
        return None


def _read_switches() -> tuple[str, ...]:
    return tuple(re.sub(r"\D", "", path.read_text()) if path.exists() else "" for path in _SWITCHES)


def _program() -> str:
    program = shutil.which("nft")
    if program is None:
        raise ForwardingError("forwarding needs nft; install nftables")
    return program


def _listed(*what: str) -> list[dict[str, dict[str, object]]]:
    """Return what nft lists; nothing where there is no nft, which can then have left nothing."""
    program = shutil.which("nft")
    if program is None:
        return []
    done = subprocess.run(  # noqa: S603  fixed program and arguments
        [program, "-j", "list", *what], text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise ForwardingError(f"nft: {done.stderr.strip()}")
    found: list[dict[str, dict[str, object]]] = json.loads(done.stdout)["nftables"]
    return found


def _nft(script: str) -> None:
    done = subprocess.run(  # noqa: S603  fixed program, script of our own
        [_program(), "-f", "-"], input=script, text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise ForwardingError(f"nft: {done.stderr.strip()}")
