"""The agent's session with the control server its user prefers: begun, ended, and asked things."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from node.agent.control_session import ControlSession, SessionState
from node.agent.trust import trust
from node.proxy.settings import DIRECT, ProxySettings
from node.session.driver import ControlLostError, ControlRefusedError, ControlUrl

if TYPE_CHECKING:
    from collections.abc import Callable

    from control.wire import Hostinfo, ReachResponse
    from node.agent.control_session import SessionOwner
    from node.agent.memory import Memory
    from node.paths.own_endpoints import OwnEndpoint

__all__ = ["ControlLink"]

LOG = logging.getLogger("postern.agent")


class ControlLink:
    """At most one session at a time."""

    def __init__(
        self,
        memory: Memory,
        owner: SessionOwner,
        describe: Callable[[], Hostinfo],
        proxies: ProxySettings = DIRECT,
    ) -> None:
        """Lead sessions for who `memory` says we are; `owner` is told what they say."""
        self._proxies = proxies
        self._memory = memory
        self._owner = owner
        self._describe = describe
        self._session: ControlSession | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def is_begun(self) -> bool:
        """Whether there is a session, with a connection or without."""
        return self._task is not None

    def begin(self, auth_key: str, *, must_log_in: bool) -> None:
        """Begin a session; the one before was ended. Raises PreferencesError."""
        self._session = self._new_session()
        self._session.auth_key, self._session.must_log_in = auth_key, must_log_in
        self._task = asyncio.create_task(self._session.run(), name="control")
        self._task.add_done_callback(self._on_done)

    async def end(self) -> None:
        """End the session, if there is one."""
        task, self._task, self._session = self._task, None, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def report(self, endpoints: tuple[OwnEndpoint, ...]) -> None:
        """Tell the server what is new about us, soon."""
        if self._session is not None:
            self._session.report(self._describe(), endpoints)

    def reconnect(self) -> None:
        """Connect again: our network changed."""
        if self._session is not None:
            self._session.reconnect()

    async def reach(self) -> ReachResponse | str:
        """Return what the server lets this node reach, or why that is not known."""
        if self._session is None:
            return "not connected to a control server; run `postern up`"
        try:
            found = await self._session.reach()
        except (ControlLostError, ControlRefusedError) as error:
            return str(error)
        return "this control server does not tell" if found is None else found

    async def log_out(self) -> None:
        """End the node key's life at the server, if it can be reached."""
        session = self._session or self._new_session()
        try:
            await session.log_out()
        except (ControlLostError, ControlRefusedError) as error:
            LOG.warning("logout: %s", error)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        """Say so when a session broke, which nobody waits for."""
        if task.cancelled() or (failure := task.exception()) is None:
            return
        LOG.error("the control session broke", exc_info=failure)
        if task is self._task:
            self._task = self._session = None
            why = f"it broke ({failure!r}); `postern up` begins a new one"
            self._owner.on_session(SessionState.OFFLINE, why)

    def _new_session(self) -> ControlSession:
        preferences, identity = self._memory.preferences, self._memory.identity
        return ControlSession(
            url=ControlUrl.parse(preferences.login_server),
            identity=identity,
            disco=identity.disco.public,
            owner=self._owner,
            hostinfo=self._describe(),
            tls=trust(preferences.trusted_ca),
            proxies=self._proxies,
            is_ephemeral=preferences.is_ephemeral,
        )
