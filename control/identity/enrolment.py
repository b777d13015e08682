"""Letting nodes in: keys claimed, addresses given, nodes made or given new keys.

INVARIANT: one transaction makes a node and claims its auth key and its addresses, so that a crash
leaves either all of it or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from control.errors import AlreadyExistsError, ControlError
from control.keys import DiscoPublic
from control.registry import routes
from control.registry.names import label_of_hostname, unique_label
from control.store.records import NodeRecord, RegisterMethod
from control.store.secrets_at_rest import AuthKeyFault, claim_auth_key
from control.wire import ZERO_TIME, Hostinfo

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime, timedelta
    from ipaddress import IPv4Address, IPv6Address

    from control.keys import MachinePublic
    from control.registry.addresses import AddressPool
    from control.registry.ledger import Ledger, Transaction
    from control.registry.routes import AutoApproved
    from control.registry.tailnet import Tailnet
    from control.store.records import AuthKeyRecord, UserRecord
    from control.wire import AddrPort, RegisterRequest

__all__ = ["Admission", "Enrolment", "EnrolmentSettings", "RefusedError"]

_ATTEMPTS: Final = 20
"""Two servers that let many nodes in at once reach for the same names and addresses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentSettings:
    """What an operator decides about new nodes."""

    node_expiry: timedelta | None = None
    """Life of a node key of a user's node; None for ever."""
    needs_approval: bool = False
    """New nodes wait until somebody approves them, unless the tailnet's own settings differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Who a node will belong to, and by whose word."""

    user: UserRecord | None
    """None for a tagged node."""
    tags: tuple[str, ...] = ()
    method: RegisterMethod
    is_ephemeral: bool = False
    auth_key: AuthKeyRecord | None = None
    expires_at: datetime | None = None
    """End of what the identity provider vouched for, where that counts."""
    endpoints: tuple[AddrPort, ...] = ()
    """Where a plain WireGuard device always is; every other node reports its own."""


class RefusedError(ControlError):
    """The text goes to the node's user."""


class Enrolment:
    """Makes nodes and gives them new keys. The caller takes one login of a machine at a time."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        ipv4: AddressPool[IPv4Address] | None,
        ipv6: AddressPool[IPv6Address] | None,
        settings: EnrolmentSettings,
        may_tag: Callable[[UserRecord, str], bool],
        auto_approved: AutoApproved,
        catch_up: Callable[[], Awaitable[None]],
    ) -> None:
        self._ledger = ledger
        self._tailnet: Tailnet = ledger.tailnet
        self._ipv4 = ipv4
        self._ipv6 = ipv6
        self._settings = settings
        self._may_tag = may_tag
        self._auto_approved = auto_approved
        self._catch_up = catch_up
        self._names_in_making: set[str] = set()

    def with_requested_tags(self, admission: Admission, tags: tuple[str, ...]) -> Admission:
        """Turn a user's login into a tagged node's, if the user owns every tag asked for."""
        if not tags:
            return admission
        user = admission.user
        bad = [tag for tag in tags if user is None or not self._may_tag(user, tag)]
        if bad:
            raise RefusedError(
                f"requested tags [{', '.join(bad)}] are invalid or not permitted: "
                "the policy's tagOwners must name you for each"
            )
        return replace(admission, user=None, tags=tuple(sorted(set(tags))))

    async def enrol(
        self, request: RegisterRequest, machine: MachinePublic, version: int, admission: Admission
    ) -> NodeRecord:
        """Let a node in, as a new one or in place of what it was; raises ControlError."""
        for attempt in range(_ATTEMPTS):
            holder = self._tailnet.node_by_key(request.node_key)
            if holder is not None and holder.machine_key != machine:
                raise RefusedError(
                    "this node key belongs to another machine; log in again with a new key"
                )
            existing = self._existing(machine, admission)
            try:
                if existing is not None:
                    return await self._rotate(existing, request, version, admission)
                return await self._add(request, machine, version, admission)
            except AlreadyExistsError:
                # Another server took the name or an address first.
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
            raise RefusedError(
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
            is_authorized=node.is_authorized or self._is_authorized(admission),
            expires_at=None if tags else self._expiry(request, admission, now),
        )
        if (changed.user_id, changed.tags) == (node.user_id, node.tags):
            changed = routes.after_report(node, changed, self._auto_approved)
        else:
            changed = routes.new_owner(changed, self._auto_approved)
        changed = self._renamed(changed)
        async with self._ledger.transaction(_actor(admission)) as transaction:
            await self._claim(transaction, admission)
            await transaction.save_node(changed, node)
            await transaction.audit("node.login", f"node:{node.id}", method=admission.method.value)
        return self._tailnet.node(node.id) or changed

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
            given_name=unique_label(label_of_hostname(hostinfo.hostname), self._is_name_taken),
            is_renamed=False,
            ipv4=ipv4,
            ipv6=ipv6,
            tags=admission.tags,
            approved_routes=(),
            hostinfo=hostinfo,
            endpoints=admission.endpoints,
            home_derp=hostinfo.preferred_derp,
            capability_version=max(version, request.version),
            is_ephemeral=admission.is_ephemeral or request.ephemeral,
            is_authorized=self._is_authorized(admission),
            expires_at=None if admission.tags else self._expiry(request, admission, now),
            last_seen=None,
            created_at=now,
        )
        made = routes.new_owner(made, self._auto_approved)
        self._names_in_making.add(made.given_name)
        try:
            async with self._ledger.transaction(_actor(admission)) as transaction:
                await self._claim(transaction, admission)
                added = await transaction.add_node(made)
                await transaction.audit(
                    "node.register", f"node:{added.id}", method=admission.method.value
                )
        except AlreadyExistsError:
            # Somebody else was faster. Whoever has the addresses keeps them.
            await self._catch_up()
            self._free(*self._unheld(ipv4, ipv6))
            raise
        except BaseException:
            # Whoever waited may have gone away just after the node was made.
            if self._tailnet.node_by_key(made.node_key) is None:
                self._free(ipv4, ipv6)
            raise
        finally:
            self._names_in_making.discard(made.given_name)
        return added

    def _is_name_taken(self, name: str) -> bool:
        return name in self._names_in_making or self._tailnet.is_name_taken(name)

    async def _claim(self, transaction: Transaction, admission: Admission) -> None:
        key = admission.auth_key
        if key is not None and not await claim_auth_key(
            transaction.connection, key, transaction.now
        ):
            raise RefusedError(AuthKeyFault.USED.value)

    def _is_authorized(self, admission: Admission) -> bool:
        """Tell whether a node may take part at once (control reference 3.7)."""
        wanted = self._tailnet.settings.devices_approval_on
        if not (self._settings.needs_approval if wanted is None else wanted):
            return True
        if admission.auth_key is not None:
            return admission.auth_key.is_preauthorized
        # On the command line it is an administrator who lets the node in.
        return admission.method is RegisterMethod.CLI

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

    def _renamed(self, node: NodeRecord) -> NodeRecord:
        """Let the name follow the host's, unless an administrator chose it."""
        wanted = label_of_hostname(node.hostinfo.hostname)
        if node.is_renamed or not node.hostinfo.hostname or node.given_name == wanted:
            return node
        if node.given_name.startswith(f"{wanted}-") and self._tailnet.is_name_taken(wanted):
            return node
        return replace(node, given_name=unique_label(wanted, self._is_name_taken))

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

    def _unheld(
        self, ipv4: IPv4Address | None, ipv6: IPv6Address | None
    ) -> tuple[IPv4Address | None, IPv6Address | None]:
        """Return those addresses that no node has."""
        held = {address for node in self._tailnet for address in node.addresses}
        return None if ipv4 in held else ipv4, None if ipv6 in held else ipv6

    def _free(self, ipv4: IPv4Address | None, ipv6: IPv6Address | None) -> None:
        if self._ipv4 is not None and ipv4 is not None:
            self._ipv4.free(ipv4)
        if self._ipv6 is not None and ipv6 is not None:
            self._ipv6.free(ipv6)


def _actor(admission: Admission) -> str:
    if admission.auth_key is not None:
        return f"auth-key:{admission.auth_key.id}"
    return f"user:{admission.user.id}" if admission.user is not None else "login"


def _merged(old: Hostinfo, new: Hostinfo | None) -> Hostinfo:
    """Return the new description; a register request lacks the network part, which stays."""
    if new is None:
        return old
    kept = {"NetInfo": old.raw["NetInfo"]} if "NetInfo" in old.raw else {}
    return Hostinfo({**kept, **new.raw})
