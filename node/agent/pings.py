"""Pings that users ask for, and who waits for which answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from node.agent import loop_calls
from node.agent.desired import find_peer, home_region
from node.agent.status import region_code
from node.state.preferences import PreferencesError

if TYPE_CHECKING:
    from node.agent.tunnel import Tunnel
    from node.netmap.netmap import NetMap
    from node.paths.news import PingAnswered

__all__ = ["Pings"]


_AGAIN_S: Final = 1.0


class Pings:
    """Everything that is asked and not answered yet."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, list[asyncio.Future[PingAnswered]]] = {}

    def note(self, node_key: bytes, answer: PingAnswered) -> None:
        """Take an answer: the first one is what everybody who waits gets."""
        for future in self._waiting.get(node_key, []):
            if not future.done():
                future.set_result(answer)

    async def ping(
        self, tunnel: Tunnel, netmap: NetMap, target: str, timeout_s: float
    ) -> dict[str, Any]:
        """Ping a peer; return how the first answer came. Raises PreferencesError."""
        node = find_peer(netmap, target)
        if node is None:
            raise PreferencesError(f"{target}: no such node in the netmap")
        key = node.key.raw
        future: asyncio.Future[PingAnswered] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(key, [])
        waiting.append(future)
        asked = {
            "name": node.name.rstrip("."),
            "address": str((node.addresses or ())[0].network_address) if node.addresses else "",
        }
        try:
            async with asyncio.timeout(timeout_s):
                # Right after a start the first goes nowhere: no way is known yet.
                while not future.done():
                    if not await loop_calls.ping(tunnel, key):
                        raise PreferencesError(f"{target}: not a peer that can be pinged")
                    await asyncio.wait({future}, timeout=_AGAIN_S)
            got = future.result()
        except TimeoutError:
            return {**asked, "error": "timed out"}
        finally:
            waiting.remove(future)
            if not waiting:
                self._waiting.pop(key, None)
        is_relayed = got.endpoint is None
        return {
            **asked,
            "endpoint": "" if is_relayed else str(got.endpoint),
            "relay": region_code(netmap.derp_map, home_region(node)) if is_relayed else "",
            "latency_ms": got.latency_ns / 1e6,
        }
