"""Driver of the relay connections: dials and closes what `RelayChoice` says, moves datagrams.

Runs in the agent's event loop. Datagrams for a relay that is being dialled wait, a few of them;
everything else that cannot be sent is dropped, as a network would.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import defaultdict, deque
from functools import partial
from typing import TYPE_CHECKING, Final

from control.wire import DerpMap
from node.paths.relay_choice import (
    CloseRegion,
    OpenRegion,
    PingRegion,
    RelayChoice,
    SetHome,
)
from node.proxy.settings import DIRECT, ProxyError, ProxySettings
from node.relays.address import relay_addresses, tls_context
from node.relays.race import first_welcome
from relay.dial import DialError, RelayAddress, RelayClient, dial
from relay.frames import PeerGone, RecvPacket, Restarting
from relay.session_client import Disconnected, Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from control.keys import NodePrivate
    from relay.session_client import ClientEvent

__all__ = ["Received", "RelayLinks"]

LOG = logging.getLogger("postern.relays")
_MOST_WAITING: Final = 64
_WAITING_S: Final = 5.0
"""What waited longer for a relay is of a conversation that has begun anew since."""
_MOST_HOMELESS: Final = 4
"""A peer that has just joined is in the netmap before its home is: its first handshake must not
be lost, because the next one comes five seconds later."""
_MS: Final = 1000.0
_PING_BYTES: Final = 8
_DIAL_S: Final = 5.0

Received = tuple[bytes, int, bytes]
"""Node key that sent it, region, datagram."""


class RelayLinks:
    """All relay connections of one node."""

    def __init__(
        self,
        private: NodePrivate,
        on_received: Callable[[list[Received]], None],
        on_trouble: Callable[[int, str], None] = lambda _region, _text: None,
        *,
        proxies: ProxySettings = DIRECT,
    ) -> None:
        self._private = private
        self._on_received = on_received
        self._on_trouble = on_trouble
        self._proxies = proxies
        self._loop = asyncio.get_running_loop()
        self._choice = RelayChoice()
        self._derp_map: DerpMap | None = None
        self._authorities = ""
        self._homes: Mapping[bytes, int] = {}
        self._clients: dict[int, RelayClient] = {}
        self._dialling: dict[int, asyncio.Task[None]] = {}
        self._waiting: defaultdict[int, deque[tuple[float, bytes, bytes]]] = defaultdict(
            lambda: deque(maxlen=_MOST_WAITING)
        )
        self._homeless: defaultdict[bytes, deque[bytes]] = defaultdict(
            lambda: deque(maxlen=_MOST_HOMELESS)
        )
        self._received: list[Received] = []
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self.dropped = 0
        """Datagrams that no relay took."""
        self.strange = 0
        """Datagrams of senders that are no peers of ours: anybody at a relay may send them."""

    @property
    def home(self) -> int:
        """Our home region, 0 for none."""
        return self._choice.home

    @property
    def connected(self) -> frozenset[int]:
        """Regions with a live connection."""
        return frozenset(self._clients)

    def heard_at(self) -> dict[int, float]:
        """Return when each region's relay last sent anything."""
        return self._choice.heard_at()

    def failed_at(self) -> dict[int, float]:
        """Return when the regions that do not answer were last tried."""
        return self._choice.failed_at()

    def configure(
        self, derp_map: DerpMap | None, homes: Mapping[bytes, int], authorities: str = ""
    ) -> None:
        """Take the netmap's relays, the peers' home regions, and whom to trust besides the system.

        `authorities` is PEM, empty for none.
        """
        self._derp_map, self._homes, self._authorities = derp_map, homes, authorities
        self._choice.keep_peers(homes)
        for node_key in [key for key in self._homeless if homes.get(key, 0) or key not in homes]:
            waited = self._homeless.pop(node_key)
            if node_key in homes:
                self.send((node_key, 0, datagram, len(datagram)) for datagram in waited)

    def set_home(self, region: int) -> None:
        """Move home and keep a connection there."""
        self._choice.set_home(region, self._loop.time())
        self._carry_out()

    def send(self, bursts: Iterable[tuple[bytes, int, bytes, int]]) -> None:
        """Send bursts: node key, region (0 for the peer's home), bytes, size of a datagram."""
        now = self._loop.time()
        for node_key, region, burst, segment in bursts:
            home = region or self._homes.get(node_key, 0)
            chosen = self._choice.region_for(node_key, home, now)
            client = self._clients.get(chosen)
            if client is not None:
                self._send_burst(client, node_key, burst, segment)
                continue
            for at in range(0, len(burst), segment):
                datagram = burst[at : at + segment]
                if chosen:
                    self._waiting[chosen].append((now, node_key, datagram))
                else:
                    self._park(node_key, datagram)
        self._carry_out()

    def reconnect(self) -> None:
        """Dial everything again: our network changed, and TCP would notice minutes later."""
        now = self._loop.time()
        for client in list(self._clients.values()):
            client.close()
        for region, task in list(self._dialling.items()):
            # It tries by way of a network that is gone.
            task.cancel()
            self._dialling.pop(region)
            self._choice.note_lost(region, now)
        self._choice.redial(now)
        self._carry_out()

    def _park(self, node_key: bytes, datagram: bytes) -> None:
        if node_key in self._homes:
            self._homeless[node_key].append(datagram)
        else:
            self.dropped += 1

    async def close(self) -> None:
        """Close every connection."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._dialling.values():
            task.cancel()
        await asyncio.gather(*self._dialling.values(), return_exceptions=True)
        for client in list(self._clients.values()):
            client.close()

    def _send_burst(self, client: RelayClient, node_key: bytes, burst: bytes, segment: int) -> None:
        if client.session.phase is Phase.OPEN:
            self.dropped += client.send_burst(node_key, burst, segment)
        else:
            self.dropped += -(-len(burst) // segment)

    def _carry_out(self) -> None:
        for command in self._choice.commands():
            match command:
                case OpenRegion(region):
                    self._dialling[region] = asyncio.create_task(
                        self._dial(region), name=f"relay-{region}"
                    )
                case CloseRegion(region, is_silent):
                    client = self._clients.pop(region, None)
                    if client is not None:
                        client.close()
                    if is_silent:
                        self._on_trouble(region, f"relay region {region}: it fell silent")
                case PingRegion(region):
                    client = self._clients.get(region)
                    if client is not None:
                        client.session.ping(os.urandom(_PING_BYTES))
                case SetHome(region, is_home):
                    client = self._clients.get(region)
                    if client is not None:
                        client.session.note_preferred(is_home=is_home)
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._choice.deadline()
        if due is not None and not self._is_closed:
            self._timer = self._loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._choice.on_deadline(self._loop.time())
        self._carry_out()

    async def _dial(self, region: int) -> None:
        try:
            client = await first_welcome(
                self._addresses(region), lambda address: self._dial_one(region, address)
            )
        except DialError as error:
            LOG.warning("%s", error)
            self._lost(region)
            self._on_trouble(region, str(error))
            return
        finally:
            if self._dialling.get(region) is asyncio.current_task():
                del self._dialling[region]
        self._clients[region] = client
        self._choice.note_open(region, self._loop.time())
        self._on_trouble(region, "")
        self._carry_out()
        too_late = self._loop.time() - _WAITING_S
        for since, node_key, datagram in self._waiting.pop(region, ()):
            if since > too_late:
                self._send_burst(client, node_key, datagram, len(datagram))
            else:
                self.dropped += 1

        def on_closed(_: asyncio.Future[str]) -> None:
            if self._clients.get(region) is client:
                del self._clients[region]
                self._lost(region)

        client.closed.add_done_callback(on_closed)

    async def _dial_one(self, region: int, address: RelayAddress) -> RelayClient:
        try:
            async with asyncio.timeout(_DIAL_S):
                return await dial(
                    address, self._private, lambda event: self._on_event(region, event)
                )
        except TimeoutError:
            raise DialError(f"relay {address.host}:{address.port}: no answer") from None

    def _addresses(self, region: int) -> list[RelayAddress]:
        derp_map = self._derp_map or DerpMap()
        try:
            tls = partial(tls_context, self._authorities)
            found = relay_addresses(derp_map, region, tls, self._proxies)
        except ProxyError as error:
            raise DialError(f"relay region {region}: {error}") from error
        if not found:
            raise DialError(f"relay region {region}: not in the DERP map")
        return found

    def _lost(self, region: int) -> None:
        if self._is_closed:
            return
        self._choice.note_lost(region, self._loop.time())
        self._carry_out()

    def _on_event(self, region: int, event: ClientEvent) -> None:
        match event:
            case RecvPacket(source) if source not in self._homes:
                self._choice.note_heard(region, self._loop.time())
                self.strange += 1
            case RecvPacket(source, packet):
                self._choice.note_heard(region, self._loop.time(), source)
                if not self._received:
                    # Everything that arrives in one read goes on together.
                    self._loop.call_soon(self._hand_over)
                self._received.append((source, region, packet))
            case PeerGone(peer):
                self._choice.note_gone(region, peer)
            case Disconnected():
                # Nothing that the relay said; whoever holds the connection hears of it.
                pass
            case Restarting(reconnect_in_ms):
                self._choice.note_restarting(region, self._loop.time(), reconnect_in_ms / _MS)
            case _:
                self._choice.note_heard(region, self._loop.time())

    def _hand_over(self) -> None:
        received, self._received = self._received, []
        self._on_received(received)
