"""From the record of a node to the node that others see on the wire."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from control.wire import TAGGED_DEVICES_ID, ZERO_TIME, PeerChange, WireNode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from control.store.records import NodeRecord
    from control.wire import Prefix

__all__ = ["Seen", "patch_between", "wire_node"]

Texts = tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A node in the state in which one viewer sees it."""

    record: NodeRecord
    is_online: bool
    is_expired: bool
    allowed_ips: Texts
    """Prefixes that this viewer sends to the node."""
    primary_routes: Texts

    def is_same(self, other: Seen) -> bool:
        """Return whether there is nothing to tell; records are compared by identity."""
        return (
            self.record is other.record
            and self.is_online == other.is_online
            and self.is_expired == other.is_expired
            and self.allowed_ips == other.allowed_ips
            and self.primary_routes == other.primary_routes
        )


@lru_cache(maxsize=65536)
def _prefix(text: str) -> Prefix:
    return ip_network(text)


def _prefixes(texts: Texts) -> tuple[Prefix, ...]:
    return tuple(map(_prefix, texts))


def wire_node(
    seen: Seen, *, suffix: str, addresses: Texts, cap_map: Mapping[str, Any] | None, is_self: bool
) -> WireNode:
    """Return the node as the wire has it. `suffix` is the tailnet's domain, without dots around."""
    record = seen.record
    return WireNode(
        id=record.id,
        stable_id=str(record.id),
        name=f"{record.given_name}.{suffix}.",
        user=TAGGED_DEVICES_ID if record.user_id is None else record.user_id,
        key=record.node_key,
        key_expiry=record.expires_at,
        machine=record.machine_key,
        disco_key=record.disco_key,
        addresses=_prefixes(addresses),
        allowed_ips=_prefixes(seen.allowed_ips),
        endpoints=record.endpoints or None,
        home_derp=record.home_derp,
        hostinfo=record.hostinfo.for_peers(),
        created=record.created_at,
        cap=record.capability_version,
        tags=record.tags or None,
        primary_routes=_prefixes(seen.primary_routes) or None,
        last_seen=None if seen.is_online else record.last_seen,
        online=seen.is_online,
        machine_authorized=record.is_authorized,
        cap_map=cap_map,
        expired=seen.is_expired and not is_self,
        is_wireguard_only=record.is_wireguard_only,
    )


def patch_between(old: Seen, new: Seen) -> PeerChange | None:
    """Return the patch that turns one state into the other, or None where a patch cannot.

    A patch cannot say that endpoints or the home relay are gone (control reference 4.5).
    """
    before, after = old.record, new.record
    if (
        old.allowed_ips != new.allowed_ips
        or old.primary_routes != new.primary_routes
        # Said outright, so that a peer whose clock is wrong still knows.
        or old.is_expired != new.is_expired
        or not _differs_only_in_patchable(before, after)
    ):
        return None
    if (before.home_derp and not after.home_derp) or (before.endpoints and not after.endpoints):
        return None
    return PeerChange(
        node_id=after.id,
        derp_region=_news(before.home_derp, after.home_derp) or 0,
        cap=_news(before.capability_version, after.capability_version) or 0,
        endpoints=_news(before.endpoints, after.endpoints),
        key=_news(before.node_key, after.node_key),
        disco_key=_news(before.disco_key, after.disco_key),
        # A disco key without the online flag would be taken for an old one.
        online=_news(old.is_online, new.is_online)
        if before.disco_key == after.disco_key
        else new.is_online,
        last_seen=_last_seen_news(old, new),
        key_expiry=_expiry_news(before.expires_at, after.expires_at),
    )


def _differs_only_in_patchable(before: NodeRecord, after: NodeRecord) -> bool:
    if before is after:
        return True
    levelled = replace(
        before,
        node_key=after.node_key,
        disco_key=after.disco_key,
        endpoints=after.endpoints,
        home_derp=after.home_derp,
        last_seen=after.last_seen,
        expires_at=after.expires_at,
        capability_version=after.capability_version,
        # Neither of these is told to peers.
        nl_key=after.nl_key,
        auth_key_id=after.auth_key_id,
        approved_routes=after.approved_routes,
        is_renamed=after.is_renamed,
        is_ephemeral=after.is_ephemeral,
        hostinfo=after.hostinfo,
    )
    if levelled != after:
        return False
    return before.hostinfo is after.hostinfo or (
        before.hostinfo.for_peers() == after.hostinfo.for_peers()
    )


def _news(old: Any, new: Any) -> Any:
    return None if old == new else new


def _last_seen_news(old: Seen, new: Seen) -> datetime | None:
    """Return when a node was last there; nothing was said of that while it was online."""
    if new.is_online:
        return None
    told = None if old.is_online else old.record.last_seen
    news: datetime | None = _news(told, new.record.last_seen)
    return news


def _expiry_news(old: datetime | None, new: datetime | None) -> datetime | None:
    if old == new:
        return None
    return ZERO_TIME if new is None else new
