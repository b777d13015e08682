"""What must stay reachable although everything goes to an exit node."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from typing import TYPE_CHECKING, Final

from node.session.driver import ControlUrl

if TYPE_CHECKING:
    from collections.abc import Iterable

    from control.wire import DerpMap
    from node.hostnet.plan import IPNetwork
    from node.state.preferences import Preferences

__all__ = ["Bypasses"]

LOG = logging.getLogger("postern.agent")
_LOOK_UP_S: Final = 3.0
"""The netmap's filter waits for this: a name server that is silent takes ten seconds and more."""
_AGAIN_S: Final = 30.0


class Bypasses:
    """Addresses of control server and relays, looked up when they may have changed.

    A name that cannot be looked up keeps the addresses that it had, and is asked again.
    """

    def __init__(self, proxies: Iterable[str] = ()) -> None:
        """`proxies` are the hosts by way of which they are reached."""
        self._proxies = tuple(proxies)
        self._asked: tuple[object, ...] = ()
        self._passing: tuple[IPNetwork, ...] = ()
        self._known: dict[str, tuple[IPNetwork, ...]] = {}
        self._again_at = float("inf")

    async def of(
        self, preferences: Preferences, derp_map: DerpMap | None, around: tuple[IPNetwork, ...] = ()
    ) -> tuple[IPNetwork, ...]:
        """Return what passes by an exit node; nothing while none is used.

        `around` are the networks that this host is in: they are left alone where the user wants
        that.
        """
        if not preferences.exit_node:
            return ()
        asked = (derp_map, preferences, around)
        now = asyncio.get_running_loop().time()
        if asked != self._asked or now >= self._again_at:
            names = list(_names(preferences, derp_map, self._proxies))
            found = await asyncio.gather(*map(_look_up, names))
            self._known |= {n: nets for n, nets in zip(names, found, strict=True) if nets}
            self._again_at = float("inf") if all(found) else now + _AGAIN_S
            passing = list(around) if preferences.exit_node_allow_lan_access else []
            for name in names:
                passing += self._known.get(name, ())
            self._asked, self._passing = asked, tuple(dict.fromkeys(passing))
        return self._passing


def _names(
    preferences: Preferences, derp_map: DerpMap | None, proxies: Iterable[str]
) -> Iterable[str]:
    names = dict.fromkeys((ControlUrl.parse(preferences.login_server).host, *proxies))
    for region in ((derp_map.regions or {}) if derp_map is not None else {}).values():
        for node in (region.nodes or ()) if region is not None else ():
            has_ipv4 = node.ipv4 not in {"", "none"}
            names[node.ipv4 if has_ipv4 else node.host_name] = None
            names[node.ipv6] = None
    return [name for name in names if name not in {"", "none"}]


async def _look_up(name: str) -> tuple[IPNetwork, ...]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_LOOK_UP_S):
            answers = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:
        # A ValueError is a name that no resolver could be asked for.
        LOG.warning("%s: %s", name, str(error) or "the name server does not answer")
        return ()
    return tuple(dict.fromkeys(ipaddress.ip_network(str(answer[4][0])) for answer in answers))
