"""What must stay reachable although everything goes to an exit node."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from typing import TYPE_CHECKING

from node.session.driver import ControlUrl

if TYPE_CHECKING:
    from collections.abc import Iterable

    from control.wire import DerpMap
    from node.hostnet.plan import IPNetwork
    from node.state.preferences import Preferences

__all__ = ["bypasses"]

LOG = logging.getLogger("postern.agent")


async def bypasses(
    preferences: Preferences,
    derp_map: DerpMap | None,
    around: Iterable[IPNetwork] = (),
    *,
    proxies: Iterable[str] = (),
) -> tuple[IPNetwork, ...]:
    """Return the addresses of control server and relays; none while no exit node is used.

    `around` are the networks that this host is in: they are left alone where the user wants that.
    `proxies` are the hosts by way of which those are reached.
    """
    if not preferences.exit_node:
        return ()
    names = [ControlUrl.parse(preferences.login_server).host, *proxies]
    for region in ((derp_map.regions or {}) if derp_map is not None else {}).values():
        for node in (region.nodes or ()) if region is not None else ():
            names += [name for name in (node.ipv4 or node.host_name, node.ipv6) if name]
    found: list[IPNetwork] = list(around) if preferences.exit_node_allow_lan_access else []
    loop = asyncio.get_running_loop()
    for name in dict.fromkeys(names):
        if name == "none":
            continue
        try:
            answers = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, ValueError) as error:
            # A ValueError is a name that no resolver could be asked for.
            LOG.warning("%s: %s", name, error)
            continue
        found += [ipaddress.ip_network(str(answer[4][0])) for answer in answers]
    return tuple(dict.fromkeys(found))
