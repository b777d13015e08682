"""Carrying out registrations: keys claimed, addresses given, nodes made or given new keys.

INVARIANT: one transaction makes a node and claims its auth key and its addresses, so that a crash
leaves either all of it or nothing.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from control.errors import AlreadyExistsError, ControlError
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
from control.keys import DiscoPublic
from control.registry.names import label_of_hostname, unique_label
from control.registry.reports import routes_after_report
from control.store.records import NodeRecord, RegisterMethod
from control.store.secrets_at_rest import AuthKeyFault, claim_auth_key, find_auth_key
from control.wire import (
    TAGGED_DEVICES,
    ZERO_TIME,
    Hostinfo,
    RegisterResponse,
    User,
    capability,
)
from control.wire import Login as WireLogin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from datetime import datetime, timedelta
    from ipaddress import IPv4Address, IPv6Address

    from control.identity.logins import Login, Logins
    from control.keys import MachinePublic
    from control.registry.addresses import AddressPool
    from control.registry.ledger import Ledger, Transaction
    from control.registry.tailnet import Tailnet
    from control.store.records import AuthKeyRecord, UserRecord
    from control.wire import Prefix, RegisterRequest

__all__ = ["Admission", "Registrar", "RegistrarSettings"]

_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrarSettings:
    """What an operator decides about registrations."""

    auth_url_prefix: str
    """URL below which a login's ID makes its page, ending in `/register/`."""
    node_expiry: timedelta | None = None
    """Life of a node key of a user's node; None for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Who a node will belong to, and by whose word."""

    user: UserRecord | None
    """None for a tagged node."""
    tags: tuple[str, ...] = ()
    method: RegisterMethod
    is_ephemeral: bool = False
    is_authorized: bool = True
    auth_key: AuthKeyRecord | None = None
    expires_at: datetime | None = None
    """End of what the identity provider vouched for, where that counts."""


class _RefusedError(ControlError):
    """The text goes to the node's user."""


class Registrar:
    """Answers register requests. Requests of one machine are taken one after the other."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        logins: Logins,
        ipv4: AddressPool[IPv4Address] | None,
        ipv6: AddressPool[IPv6Address] | None,
        settings: RegistrarSettings,
        may_tag: Callable[[UserRecord, str], bool],
        auto_approved: Callable[[NodeRecord, Iterable[Prefix]], tuple[Prefix, ...]],
    ) -> None:
        self._ledger = ledger
        self._tailnet: Tailnet = ledger.tailnet
        self._logins = logins
        self._ipv4 = ipv4
        self._ipv6 = ipv6
        self._settings = settings
        self._may_tag = may_tag
        self._auto_approved = auto_approved
        self._turns: dict[MachinePublic, _Turn] = {}

    async def register(
        self, request: RegisterRequest, machine: MachinePublic, version: int
    ) -> RegisterResponse:
        """Answer one request; every refusal that a person should read is in `error`."""
        if not capability.is_supported(request.version):
            return RegisterResponse(error=capability.refusal(request.version))
        async with self._turn_of(machine):
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
                admission = self._with_requested_tags(admission, tags)
                node = await self._enrol(login.request, login.machine, login.version, admission)
        except BaseException:
            login.is_being_decided = False
            raise
        login.decide(Outcome(node_id=node.id))
        return node

    def _new_login(
        self, request: RegisterRequest, machine: MachinePublic, version: int
    ) -> RegisterResponse:
        login = self._logins.start(machine, request, version)
        return RegisterResponse(auth_url=self._settings.auth_url_prefix + login.id)

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
                    await transaction.save_node(replace(node, expires_at=transaction.now))
                await transaction.audit("node.logout", f"node:{node.id}")
            if node.is_ephemeral:
                self.release(node)
        return RegisterResponse(node_key_expired=True)

    async def _shorten(self, node: NodeRecord, expires_at: datetime) -> RegisterResponse:
        async with self._ledger.transaction(f"node:{node.id}") as transaction:
            changed = replace(node, expires_at=expires_at)
            await transaction.save_node(changed)
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
            return self._current(await self._enrol(request, machine, version, admission))
        except ControlError as error:
            return RegisterResponse(error=str(error))

    def _with_requested_tags(self, admission: Admission, tags: tuple[str, ...]) -> Admission:
        """Turn a user's login into a tagged node's, if the user owns every tag asked for."""
        if not tags:
            return admission
        user = admission.user
        bad = [tag for tag in tags if user is None or not self._may_tag(user, tag)]
        if bad:
            raise _RefusedError(
                f"requested tags [{', '.join(bad)}] are invalid or not permitted: "
                "the policy's tagOwners must name you for each"
            )
        return replace(admission, user=None, tags=tuple(sorted(set(tags))))

    async def _enrol(
        self, request: RegisterRequest, machine: MachinePublic, version: int, admission: Admission
    ) -> NodeRecord:
        existing = self._existing(machine, admission)
        for attempt in range(_ATTEMPTS):
            try:
                if existing is not None:
                    return await self._rotate(existing, request, version, admission)
                return await self._add(request, machine, version, admission)
            except AlreadyExistsError:
                # Another server took the name or an address first; ours are marked, so the next
                # attempt asks for others.
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    def _existing(self, machine: MachinePublic, admission: Admission) -> NodeRecord | None:
        """Return the machine's node that this login renews rather than adds."""
        candidates = self._tailnet.nodes_of_machine(machine)
        owner_id = None if admission.user is None else admission.user.id
        same = [node for node in candidates if not node.tags and node.user_id == owner_id]
        tagged = [node for node in candidates if node.tags]
        if admission.tags:
            # A user's only node becomes the tagged one; two of them would be a guess.
            chosen = tagged or candidates
        else:
            chosen = same or (tagged if owner_id is not None else [])
        if len(chosen) > 1:
            raise _RefusedError(
                "this machine has several nodes that the login could mean; delete the old ones"
            )
        return chosen[0] if chosen else None

    async def _rotate(
        self, node: NodeRecord, request: RegisterRequest, version: int, admission: Admission
    ) -> NodeRecord:
        now = self._ledger.now()
        hostinfo = _merged(node.hostinfo, request.hostinfo)
        stays_tagged = bool(node.tags) and admission.auth_key is not None and not admission.tags
        tags = node.tags if stays_tagged else admission.tags
        changed = replace(
            node,
            node_key=request.node_key,
            nl_key=node.nl_key if request.nl_key.is_zero else request.nl_key,
            user_id=None if tags or admission.user is None else admission.user.id,
            tags=tags,
            auth_key_id=admission.auth_key.id if admission.auth_key else None,
            register_method=admission.method,
            hostinfo=hostinfo,
            capability_version=max(version, request.version),
            expires_at=None if tags else self._expiry(request, admission, now),
        )
        changed = replace(changed, approved_routes=self._routes(changed, node))
        changed = self._renamed(changed)
        async with self._ledger.transaction(_actor(admission)) as transaction:
            await self._claim(transaction, admission)
            await transaction.save_node(changed)
            await transaction.audit("node.login", f"node:{node.id}", method=admission.method.value)
        return changed

    async def _add(
        self, request: RegisterRequest, machine: MachinePublic, version: int, admission: Admission
    ) -> NodeRecord:
        now = self._ledger.now()
        hostinfo = request.hostinfo or Hostinfo()
        ipv4 = self._ipv4.take() if self._ipv4 else None
        try:
            ipv6 = self._ipv6.take() if self._ipv6 else None
        except ControlError:
            self._free(ipv4, None)
            raise
        made = NodeRecord(
            id=0,
            machine_key=machine,
            node_key=request.node_key,
            disco_key=DiscoPublic.zero(),
            nl_key=request.nl_key,
            user_id=None if admission.user is None else admission.user.id,
            auth_key_id=admission.auth_key.id if admission.auth_key else None,
            register_method=admission.method,
            given_name=unique_label(
                label_of_hostname(hostinfo.hostname), self._tailnet.is_name_taken
            ),
            is_renamed=False,
            ipv4=ipv4,
            ipv6=ipv6,
            tags=admission.tags,
            approved_routes=(),
            hostinfo=hostinfo,
            endpoints=(),
            home_derp=hostinfo.preferred_derp,
            capability_version=max(version, request.version),
            is_ephemeral=admission.is_ephemeral or request.ephemeral,
            is_authorized=admission.is_authorized,
            expires_at=None if admission.tags else self._expiry(request, admission, now),
            last_seen=None,
            created_at=now,
        )
        made = replace(made, approved_routes=self._auto_approved(made, made.hostinfo.routable_ips))
        try:
            async with self._ledger.transaction(_actor(admission)) as transaction:
                await self._claim(transaction, admission)
                added = await transaction.add_node(made)
                await transaction.audit(
                    "node.register", f"node:{added.id}", method=admission.method.value
                )
        except AlreadyExistsError:
            # Whoever has them keeps them: they stay marked here until the next start.
            raise
        except BaseException:
            self._free(ipv4, ipv6)
            raise
        return added

    async def _claim(self, transaction: Transaction, admission: Admission) -> None:
        key = admission.auth_key
        if key is not None and not await claim_auth_key(
            transaction.connection, key, transaction.now
        ):
            raise _RefusedError(AuthKeyFault.USED.value)

    def _expiry(
        self, request: RegisterRequest, admission: Admission, now: datetime
    ) -> datetime | None:
        """Return the earliest end that the request, the login and the operator ask for."""
        ends = [admission.expires_at]
        if self._settings.node_expiry is not None and admission.expires_at is None:
            ends.append(now + self._settings.node_expiry)
        if request.expiry != ZERO_TIME:
            ends.append(request.expiry)
        return min((end for end in ends if end is not None), default=None)

    def _routes(self, node: NodeRecord, before: NodeRecord) -> tuple[Prefix, ...]:
        """Return the approved routes; another owner loses what the policy gave the old one."""
        kept, advertised = node.approved_routes, node.hostinfo.routable_ips
        if _owner(node) == _owner(before):
            return routes_after_report(before, node, self._auto_approved)
        lost = set(self._auto_approved(before, kept))
        own = self._auto_approved(node, advertised)
        return tuple(dict.fromkeys((*(route for route in kept if route not in lost), *own)))

    def _renamed(self, node: NodeRecord) -> NodeRecord:
        """Let the name follow the host's, unless an administrator chose it."""
        wanted = label_of_hostname(node.hostinfo.hostname)
        if node.is_renamed or not node.hostinfo.hostname or node.given_name == wanted:
            return node
        if node.given_name.startswith(f"{wanted}-") and self._tailnet.is_name_taken(wanted):
            return node
        return replace(node, given_name=unique_label(wanted, self._tailnet.is_name_taken))

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

    def release(self, node: NodeRecord) -> None:
        """Give the addresses of a deleted node back."""
        self._free(node.ipv4, node.ipv6)

    def mark_foreign(self, node_ids: set[int]) -> None:
        """Keep addresses that another server gave out from being given out here."""
        for node_id in node_ids:
            node = self._tailnet.node(node_id)
            if node is None:
                continue
            if self._ipv4 is not None and node.ipv4 is not None:
                self._ipv4.mark(node.ipv4)
            if self._ipv6 is not None and node.ipv6 is not None:
                self._ipv6.mark(node.ipv6)

    def _free(self, ipv4: IPv4Address | None, ipv6: IPv6Address | None) -> None:
        if self._ipv4 is not None and ipv4 is not None:
            self._ipv4.free(ipv4)
        if self._ipv6 is not None and ipv6 is not None:
            self._ipv6.free(ipv6)

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


def _actor(admission: Admission) -> str:
    if admission.auth_key is not None:
        return f"auth-key:{admission.auth_key.id}"
    return f"user:{admission.user.id}" if admission.user is not None else "login"


def _owner(node: NodeRecord) -> tuple[int | None, tuple[str, ...]]:
    return node.user_id, node.tags


def _merged(old: Hostinfo, new: Hostinfo | None) -> Hostinfo:
    """Return the new description; a register request lacks the network part, which stays."""
    if new is None:
        return old
    kept = {"NetInfo": old.raw["NetInfo"]} if "NetInfo" in old.raw else {}
    return Hostinfo({**kept, **new.raw})
