"""MagicDNS of one agent: the server inside the tunnel, and the host's resolver pointed at it."""

from __future__ import annotations

import asyncio
import errno
import logging
from typing import TYPE_CHECKING, Final

from node.dns import resolved
from node.dns.resolv_conf import SERVICE_ADDRESS, ResolvConf
from node.dns.server import DnsServer
from node.dns.zone import Zone, zone_of
from node.state.directory import StateError

if TYPE_CHECKING:
    from pathlib import Path

    from node.netmap.netmap import NetMap
    from node.state.directory import StateDirectory

__all__ = ["Names"]

LOG = logging.getLogger("postern.dns")
_TAKEN: Final = (
    f"{SERVICE_ADDRESS} port 53 is taken, perhaps by another agent of this host: its names are the "
    "ones that are answered, as without systemd-resolved a host follows one only; "
    "`postern up --accept-dns=false` leaves it at that"
)


class Names:
    """Started once the tunnel has its addresses."""

    def __init__(self, interface: str, resolv_conf: Path, directory: StateDirectory) -> None:
        """Answer inside `interface`; what is replaced in the host is kept in `directory`."""
        self._interface = interface
        self._file = ResolvConf(resolv_conf, directory)
        self._uses_resolved = resolved.is_in_charge(resolv_conf)
        self._server: DnsServer | None = None
        self._address = ""
        self._told: tuple[Zone, str] | None = None

    async def apply(self, netmap: NetMap | None, *, accept: bool) -> str:
        """Answer for a netmap; returns what is wrong, empty when nothing is."""
        try:
            mine = own_addresses(netmap)
            if self._server is None or self._address not in mine:
                await self._start(mine)
            if self._server is None:
                await asyncio.to_thread(self._point, None)
                # Whoever leaves the host's resolver alone loses nothing by it.
                return f"names: {_TAKEN}" if accept else ""
            self._server.own = frozenset(mine)
            own = () if self._uses_resolved else await asyncio.to_thread(self._file.host_resolvers)
            zone = self._server.zone = zone_of(netmap, own)
            await asyncio.to_thread(self._point, zone if accept and zone.is_on else None)
        except (OSError, StateError) as error:
            return f"names: {error}"
        return ""

    async def close(self) -> None:
        """Give the host its resolver back and stop answering."""
        try:
            await asyncio.to_thread(self._point, None)
        except (OSError, StateError) as error:
            LOG.error("the host's resolver could not be restored: %s", error)  # noqa: TRY400
        await self._stop_answering()

    async def _stop_answering(self) -> None:
        if self._server is not None:
            await self._server.close()
            self._server = None

    async def _start(self, mine: tuple[str, ...]) -> None:
        """Answer at the service address or, for a resolver that can be led there, at our own.

        There is no server afterwards when another agent of this host was first. Raises OSError.
        """
        await self._stop_answering()
        for address in mine if self._uses_resolved else mine[:1]:
            server = DnsServer()
            try:
                await server.start(address)
            except OSError as error:
                await server.close()
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            self._server, self._address = server, address
            return

    def _point(self, zone: Zone | None) -> None:
        """Lead the host to MagicDNS, or, without a zone, back."""
        if zone is None:
            if self._told is not None:
                self._told = None
                if self._uses_resolved:
                    resolved.revert(self._interface)
                else:
                    self._file.restore()
            return
        if self._uses_resolved:
            if (zone, self._address) != self._told:
                resolved.tell(self._interface, zone, self._address)
        else:
            # Whoever overwrote the file meanwhile is overruled again.
            self._file.point_here(zone.search)
        self._told = (zone, self._address)


def own_addresses(netmap: NetMap | None) -> tuple[str, ...]:
    """Return where a node may answer: at the service address, and at its own in the tailnet."""
    held = (netmap.self_node.addresses or ()) if netmap is not None else ()
    return (SERVICE_ADDRESS, *(str(prefix).partition("/")[0] for prefix in held))
