"""Driver of the control session: logs in, streams the netmap, reports, and comes back when lost.

It decides nothing about the netmap: who owns it gets each one whole, with what changed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from control.keys import NodePrivate, NodePublic
from control.wire import (
    REACH_PATH,
    Hostinfo,
    MapRequest,
    ReachRequest,
    ReachResponse,
    capability,
)
from node.agent.host_description import is_news
from node.netmap.fold import FoldError, fold
from node.proxy.settings import DIRECT, ProxySettings
from node.session.driver import (
    Backoff,
    ControlClient,
    ControlLostError,
    ControlRefusedError,
    ControlUrl,
    fetch_server_key,
)
from node.session.login import Login, LoginFailed, Registered

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    from control.keys import DiscoPublic
    from control.wire import MapResponse
    from node.netmap.fold import NetMapChange
    from node.netmap.netmap import NetMap
    from node.paths.own_endpoints import OwnEndpoint
    from node.state.identity import Identity

__all__ = ["ControlSession", "SessionOwner", "SessionState"]

LOG = logging.getLogger("postern.control")
_REPORT_GAP_S: Final = 0.2
_UNKNOWN_NODE_STATUSES: Final = frozenset({401, 403, 404})
_NO_SUCH_ENDPOINT: Final = frozenset({404, 405, 501})


class SessionState(Enum):
    """Where the conversation stands."""

    CONNECTING = "connecting"
    NEEDS_LOGIN = "needs login"
    NEEDS_APPROVAL = "needs approval"
    STREAMING = "streaming"
    OFFLINE = "offline"


class SessionOwner(Protocol):
    """Who is told. Calls come from the event loop."""

    def on_session(self, state: SessionState, text: str) -> None:
        """Note where the session stands; `text` is a URL to open, or what went wrong."""

    def on_registered(self, node_key: NodePrivate) -> None:
        """Keep the node key that the server took."""

    def on_netmap(self, netmap: NetMap, change: NetMapChange) -> None:
        """Take a netmap."""


@dataclass(slots=True)
class ControlSession:
    """One node's session with one control server, for as long as `run` runs."""

    url: ControlUrl
    identity: Identity
    disco: DiscoPublic
    owner: SessionOwner
    hostinfo: Hostinfo
    tls: ssl.SSLContext | None = None
    """What to verify the server with; None is the system's."""
    proxies: ProxySettings = DIRECT
    auth_key: str = field(default="", repr=False)
    is_ephemeral: bool = False
    must_log_in: bool = False
    """Register even though the server knows the node key: tags or an auth key are new."""
    endpoints: tuple[OwnEndpoint, ...] = ()
    _client: ControlClient | None = None
    _netmap: NetMap | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Keep the session up until cancelled, or until a person has to log in again."""
        backoff = Backoff(random.random)
        while True:
            self.owner.on_session(SessionState.CONNECTING, "")
            try:
                if not await self._session(backoff):
                    return
            except ControlLostError as error:
                why = str(error)
            except ControlRefusedError as error:
                if error.status in _UNKNOWN_NODE_STATUSES:
                    self.owner.on_session(SessionState.NEEDS_LOGIN, "")
                    return
                why = str(error)
            wait_s = backoff.next_s()
            LOG.warning("%s; again in %.1f s", why, wait_s)
            self.owner.on_session(SessionState.OFFLINE, why)
            await asyncio.sleep(wait_s)

    def report(self, hostinfo: Hostinfo, endpoints: tuple[OwnEndpoint, ...]) -> None:
        """Tell the server what is new about this node, soon."""
        if is_news(hostinfo, self.hostinfo) or endpoints != self.endpoints:
            self.hostinfo, self.endpoints = hostinfo, endpoints
            self._changed.set()

    def reconnect(self) -> None:
        """Connect again: our network changed, and TCP would notice minutes later."""
        if self._client is not None:
            self._client.close()

    async def reach(self) -> ReachResponse | None:
        """Ask what this node may reach; None where the server does not answer that.

        Raises ControlLostError or ControlRefusedError.
        """
        if self._client is None:
            raise ControlLostError("no connection to the control server")
        request = ReachRequest(
            version=capability.SPOKEN_BY_OUR_NODE, node_key=self.identity.node.public
        )
        try:
            body = await self._client.fetch(REACH_PATH, request.to_json())
            return ReachResponse.from_json(json.loads(body))
        except ControlRefusedError as error:
            if error.status in _NO_SUCH_ENDPOINT:
                return None
            raise
        except ValueError as error:
            raise ControlLostError(f"no answer on what may be reached: {error}") from None

    async def log_out(self) -> None:
        """End the node key's life. Raises ControlLostError or ControlRefusedError."""
        if self._client is not None:
            await self._client.log_out(self.identity.node.public)
            return
        async with self._connected() as client:
            await client.log_out(self.identity.node.public)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[ControlClient]:
        """Connect for the length of the block. Raises ControlLostError or ControlRefusedError."""
        key = await fetch_server_key(self.url, tls=self.tls, proxies=self.proxies)
        async with ControlClient.connect(
            self.url,
            machine=self.identity.machine,
            server=key,
            entropy=os.urandom,
            tls=self.tls,
            proxies=self.proxies,
        ) as client:
            yield client

    async def _session(self, backoff: Backoff) -> bool:
        """Hold one connection; False when a person has to act."""
        async with self._connected() as client:
            if (self.must_log_in or not self.identity.is_registered) and not await self._log_in(
                client
            ):
                return False
            self._client = client
            reporting = asyncio.create_task(self._report(client), name="reports")
            try:
                return await self._stream(client, backoff)
            finally:
                self._client = None
                reporting.cancel()
                await asyncio.gather(reporting, return_exceptions=True)

    async def _log_in(self, client: ControlClient) -> bool:
        node_key, old = self.identity.node, NodePublic.zero()
        if self.identity.is_registered:
            # The server would answer for the old key that nothing needs to be done. It stays valid,
            # and ours, until the new one is taken (control reference 3.6, rotation).
            node_key, old = NodePrivate.generate(os.urandom), node_key.public
        login = Login(
            node_key=node_key,
            old_node_key=old,
            hostinfo=self.hostinfo,
            entropy=os.urandom,
            auth_key=self.auth_key,
            is_ephemeral=self.is_ephemeral,
        )
        outcome = await client.log_in(
            login, lambda url: self.owner.on_session(SessionState.NEEDS_LOGIN, url)
        )
        match outcome:
            case LoginFailed(text):
                self.owner.on_session(SessionState.NEEDS_LOGIN, text)
                return False
            case Registered(node_key, login_name, is_authorized):
                LOG.info("registered as %s", login_name)
                self.identity = self.identity.registered(node_key)
                self.must_log_in, self.auth_key = False, ""
                self.owner.on_registered(node_key)
                if not is_authorized:
                    self.owner.on_session(SessionState.NEEDS_APPROVAL, "")
        return True

    async def _stream(self, client: ControlClient, backoff: Backoff) -> bool:
        self._netmap = None
        request = self._request(stream=True, keep_alive=True, compress="zstd")
        async for message in client.poll(request):
            backoff.reset()
            if not self._take(message):
                return False
        raise ControlLostError("the control server ended the map stream")

    def _take(self, message: MapResponse) -> bool:
        now = datetime.now(UTC)
        try:
            netmap, change = fold(self._netmap, message, now)
        except FoldError as error:
            raise ControlLostError(str(error)) from None
        if self._netmap is None:
            self.owner.on_session(SessionState.STREAMING, "")
        self._netmap = netmap
        self.owner.on_netmap(netmap, change)
        if netmap.self_node.expired or netmap.is_expired(now):
            self.owner.on_session(SessionState.NEEDS_LOGIN, "the node key has expired")
            return False
        return True

    async def _report(self, client: ControlClient) -> None:
        while True:
            await self._changed.wait()
            # Endpoints, home relay and routes tend to change together.
            await asyncio.sleep(_REPORT_GAP_S)
            self._changed.clear()
            try:
                await client.report(self._request(omit_peers=True))
            except (ControlLostError, ControlRefusedError) as error:
                LOG.warning("report: %s", error)

    def _request(
        self,
        *,
        stream: bool = False,
        keep_alive: bool = False,
        compress: str = "",
        omit_peers: bool = False,
    ) -> MapRequest:
        return MapRequest(
            version=capability.SPOKEN_BY_OUR_NODE,
            compress=compress,
            keep_alive=keep_alive,
            node_key=self.identity.node.public,
            disco_key=self.disco,
            stream=stream,
            omit_peers=omit_peers,
            hostinfo=self.hostinfo,
            endpoints=tuple(str(item.endpoint) for item in self.endpoints),
            endpoint_types=tuple(int(item.kind) for item in self.endpoints),
            wants_origins=True,
        )
