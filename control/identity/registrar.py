"""Answering register requests: who may log in, who has to wait for a person, who is in already.

What happens to the node itself is `control.identity.enrolment`.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from control.errors import AlreadyExistsError, ControlError
from control.identity.enrolment import Admission
from control.identity.logins import Outcome
from control.identity.register_plan import (
    AuthKeyLogin,
    Continue,
    FollowUp,
    KeyExpired,
    LogOut,
    NewLogin,
    Refuse,
    Shorten,
    plan_registration,
)
from control.keys import MachinePrivate
from control.store.records import RegisterMethod
from control.store.secrets_at_rest import AuthKeyFault, find_auth_key
from control.wire import (
    TAGGED_DEVICES,
    Hostinfo,
    RegisterRequest,
    RegisterResponse,
    User,
    capability,
)
from control.wire import Login as WireLogin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from control.identity.enrolment import Enrolment
    from control.identity.logins import Login, Logins
    from control.keys import MachinePublic, NodePublic
    from control.registry.ledger import Ledger
    from control.registry.tailnet import Tailnet
    from control.store.records import NodeRecord

__all__ = ["Registrar"]


class Registrar:
    """Answers register requests. Requests of one machine are taken one after the other."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        logins: Logins,
        enrolment: Enrolment,
        auth_url_prefix: str,
    ) -> None:
        """`auth_url_prefix` with a login's ID is its page's URL; it ends in `/register/`."""
        self._ledger = ledger
        self._tailnet: Tailnet = ledger.tailnet
        self._logins = logins
        self._enrolment = enrolment
        self._auth_url_prefix = auth_url_prefix
        self._turns: dict[MachinePublic, _Turn] = {}

    async def register(
        self, request: RegisterRequest, machine: MachinePublic, version: int
    ) -> RegisterResponse:
        """Answer one request; every refusal that a person should read is in `error`."""
        if not capability.is_supported(request.version):
            return RegisterResponse(error=capability.refusal(request.version))
        async with self._turn_of(machine):
            await self._ledger.learn_node(request.node_key)
            plan = plan_registration(request, machine, self._tailnet, self._ledger.now())
            match plan:
                case FollowUp(login_id):
                    pass
                case LogOut(node):
                    return await self._log_out(node)
                case Shorten(node, expires_at):
                    return await self._shorten(node, expires_at)
                case Continue(node):
                    return self._current(node)
                case KeyExpired():
                    return RegisterResponse(node_key_expired=True)
                case AuthKeyLogin(auth_key, node):
                    return await self._by_auth_key(request, machine, version, auth_key, node)
                case NewLogin():
                    return self._new_login(request, machine, version)
                case Refuse(text):
                    return RegisterResponse(error=text)
        # Waiting for a person must not keep the machine's other requests waiting.
        return await self._follow_up(login_id, request, machine, version)

    async def admit(self, login: Login, admission: Admission) -> NodeRecord:
        """Let in the node behind a login that somebody approved; raises ControlError.

        Whatever comes of it, the node that waits hears about it.
        """
        if login.decided.done() or login.is_being_decided:
            raise AlreadyExistsError("this login has been decided already")
        login.is_being_decided = True
        try:
            async with self._turn_of(login.machine):
                tags = login.request.hostinfo.request_tags if login.request.hostinfo else ()
                admission = self._enrolment.with_requested_tags(admission, tags)
                node = await self._enrolment.enrol(
                    login.request, login.machine, login.version, admission
                )
        except BaseException:
            login.is_being_decided = False
            raise
        login.decide(Outcome(node_id=node.id))
        return node

    async def enter(self, name: str, node_key: NodePublic, admission: Admission) -> NodeRecord:
        """Make a node of a plain WireGuard device; raises ControlError.

        It has no machine key: nobody can speak to this server in its name.
        """
        request = RegisterRequest(node_key=node_key, hostinfo=Hostinfo({"Hostname": name}))
        # The key's other half is forgotten here.
        machine = MachinePrivate.generate(os.urandom).public
        return await self._enrolment.enrol(request, machine, 0, admission)

    def release(self, node: NodeRecord) -> None:
        """Give the addresses of a deleted node back."""
        self._enrolment.release(node)

    def _new_login(
        self, request: RegisterRequest, machine: MachinePublic, version: int
    ) -> RegisterResponse:
        login = self._logins.start(machine, request, version)
        return RegisterResponse(auth_url=self._auth_url_prefix + login.id)

    async def _follow_up(
        self, login_id: str, request: RegisterRequest, machine: MachinePublic, version: int
    ) -> RegisterResponse:
        login = self._logins.find(login_id)
        # An ID that ran out, and one that belongs to somebody else, look the same.
        if login is None or login.machine != machine:
            return self._new_login(request, machine, version)
        try:
            async with asyncio.timeout(self._logins.seconds_left(login)):
                outcome = await asyncio.shield(login.decided)
        except (TimeoutError, asyncio.CancelledError):
            if login.decided.cancelled() or not _is_being_cancelled():
                return self._new_login(request, machine, version)
            raise
        if outcome.error:
            return RegisterResponse(error=outcome.error)
        node = self._tailnet.node(outcome.node_id or 0)
        if node is None:
            return self._new_login(request, machine, version)
        return self._current(node)

    async def _log_out(self, node: NodeRecord | None) -> RegisterResponse:
        if node is not None:
            async with self._ledger.transaction(f"node:{node.id}") as transaction:
                if node.is_ephemeral:
                    await transaction.delete_node(node)
                else:
                    ended = replace(node, expires_at=transaction.now)
                    await transaction.save_node(ended, node)
                await transaction.audit("node.logout", f"node:{node.id}")
            if node.is_ephemeral:
                self._enrolment.release(node)
        return RegisterResponse(node_key_expired=True)

    async def _shorten(self, node: NodeRecord, expires_at: datetime) -> RegisterResponse:
        async with self._ledger.transaction(f"node:{node.id}") as transaction:
            changed = replace(node, expires_at=expires_at)
            await transaction.save_node(changed, node)
            await transaction.audit("node.expire", f"node:{node.id}", at=expires_at.isoformat())
        return self._current(changed)

    async def _by_auth_key(
        self,
        request: RegisterRequest,
        machine: MachinePublic,
        version: int,
        auth_key: str,
        living: NodeRecord | None,
    ) -> RegisterResponse:
        async with self._ledger.database.reading() as connection:
            key = await find_auth_key(connection, auth_key, self._ledger.now())
        if living is not None and (
            isinstance(key, AuthKeyFault) or (key.user_id, key.tags) == _owner(living)
        ):
            # Containers send their auth key at every start; a spent or expired one must not lock
            # out the node that it let in.
            return self._current(living)
        if isinstance(key, AuthKeyFault):
            return RegisterResponse(error=key.value)
        if request.hostinfo is not None and request.hostinfo.request_tags:
            tags = ", ".join(request.hostinfo.request_tags)
            return RegisterResponse(
                error=f"requested tags [{tags}] are invalid or not permitted: "
                "with an auth key the tags come from the key"
            )
        user = None if key.tags or key.user_id is None else self._tailnet.user(key.user_id)
        admission = Admission(
            user=user,
            tags=key.tags,
            method=RegisterMethod.AUTH_KEY,
            is_ephemeral=key.is_ephemeral or request.ephemeral,
            auth_key=key,
        )
        try:
            node = await self._enrolment.enrol(request, machine, version, admission)
        except ControlError as error:
            return RegisterResponse(error=str(error))
        return self._current(node)

    def _current(self, node: NodeRecord) -> RegisterResponse:
        user = None if node.user_id is None else self._tailnet.user(node.user_id)
        if user is None:
            shown, login_name = TAGGED_DEVICES.id, TAGGED_DEVICES.login_name
            display_name, provider = TAGGED_DEVICES.display_name, ""
        else:
            shown, login_name = user.id, user.login_name
            display_name, provider = user.display_name or user.name, user.provider
        return RegisterResponse(
            user=User(id=shown, display_name=display_name),
            login=WireLogin(
                id=shown, provider=provider, login_name=login_name, display_name=display_name
            ),
            machine_authorized=node.is_authorized,
        )

    @asynccontextmanager
    async def _turn_of(self, machine: MachinePublic) -> AsyncIterator[None]:
        """Keep two requests of one machine from making two nodes."""
        turn = self._turns.setdefault(machine, _Turn())
        turn.waiting += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.waiting -= 1
            if not turn.waiting:
                del self._turns[machine]


class _Turn:
    """A lock and how many hold or want it."""

    __slots__ = ("lock", "waiting")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.waiting = 0


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _owner(node: NodeRecord) -> tuple[int | None, tuple[str, ...]]:
    return node.user_id, node.tags
