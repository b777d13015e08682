"""Parts of map messages, encoded once for every node that is told the same.

What a part was made from is kept beside it and compared by identity: records never change, another
state of a node is another record. Each cache holds no more than one entry for a node or a user,
save the faces of a node and the compressed messages, which have bounds of their own.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from control.mapper.wire_node import Seen, wire_node
from control.wire import TAGGED_DEVICES, Debug, DerpMap, DnsConfig, UserProfile, format_time
from control.wire.framing import KEEP_ALIVE_JSON, compress, dump_json, frame

if TYPE_CHECKING:
    from datetime import datetime

    from control.mapper.network import PeerRoutes
    from control.store.records import NodeRecord, UserRecord

__all__ = ["Pieces", "SelfState"]

_COMPRESSED_KEPT: Final = 512
_MAX_KEPT_BYTES: Final = 1 << 16
_MOST_FACES: Final = 256


class SelfState(NamedTuple):
    """What a node's view of itself follows from."""

    record: NodeRecord
    is_expired: bool
    routes: PeerRoutes
    capabilities: dict[str, Any]


class _Faces(NamedTuple):
    """One node in every state in which somebody sees it at the moment."""

    record: NodeRecord
    is_online: bool
    is_expired: bool
    seen: dict[PeerRoutes, Seen]
    encoded: dict[tuple[Seen, tuple[str, ...]], bytes]
    """By state and the names of the capabilities that others are told of."""


class Pieces:
    """Encodes; `domain` is the tailnet's, without dots around."""

    def __init__(self, domain: str, *, derp_map: DerpMap, dns_config: DnsConfig) -> None:
        self._domain = domain
        self._faces: dict[int, _Faces] = {}
        self._selves: dict[int, tuple[SelfState, bytes]] = {}
        self._profiles: dict[int, tuple[UserRecord, bytes]] = {}
        self._compressed: OrderedDict[bytes, bytes] = OrderedDict()
        self._tagged_devices = dump_json(TAGGED_DEVICES.to_json())
        self._first = {
            "Domain": dump_json(domain),
            "CollectServices": b"false",
            "Debug": dump_json(Debug(disable_log_tail=True).to_json()),
        }
        self.set_derp_map(derp_map)
        self.set_dns(dns_config)
        self.keep_alive = {
            True: frame(compress(KEEP_ALIVE_JSON)),
            False: frame(KEEP_ALIVE_JSON),
        }
        """The keepalive of compressed and of plain streams."""

    def set_derp_map(self, derp_map: DerpMap) -> None:
        """Take other relays."""
        self.derp_map = dump_json(derp_map.to_json())

    def set_dns(self, dns_config: DnsConfig) -> None:
        """Take another DNS configuration."""
        self.dns_config = dump_json(dns_config.to_json())

    def forget_node(self, node_id: int) -> None:
        """Let go of a node that is no more."""
        self._faces.pop(node_id, None)
        self._selves.pop(node_id, None)

    def forget_user(self, user_id: int) -> None:
        """Let go of a user that changed or is no more."""
        self._profiles.pop(user_id, None)

    def seen(
        self, record: NodeRecord, routes: PeerRoutes, *, is_online: bool, is_expired: bool
    ) -> Seen:
        """Return a node in a state; viewers who see it alike share the object."""
        faces = self._faces.get(record.id)
        if (
            faces is None
            or faces.record is not record
            or faces.is_online != is_online
            or faces.is_expired != is_expired
            or len(faces.seen) > _MOST_FACES
        ):
            faces = self._faces[record.id] = _Faces(record, is_online, is_expired, {}, {})
        seen = faces.seen.get(routes)
        if seen is None:
            seen = faces.seen[routes] = Seen(
                record=record,
                is_online=is_online,
                is_expired=is_expired,
                allowed_ips=routes.allowed_ips,
                primary_routes=routes.primary_routes,
            )
        return seen

    def peer(self, seen: Seen, capabilities: dict[str, Any]) -> bytes:
        """Return a peer, as `seen` gave it just now."""
        encoded = self._faces[seen.record.id].encoded
        key = seen, tuple(capabilities)
        piece = encoded.get(key)
        if piece is None:
            own = _host_prefixes(seen.record)
            wire = wire_node(
                seen,
                suffix=self._domain,
                addresses=tuple(text for text in seen.allowed_ips if text in own),
                cap_map=capabilities or None,
                is_self=False,
            )
            piece = encoded[key] = dump_json(wire.to_json())
        return piece

    def self_node(self, state: SelfState) -> bytes:
        """Return a node as it sees itself; the same object for as long as it is told the same."""
        record = state.record
        kept = self._selves.get(record.id)
        if kept is not None and kept[0].record is record and kept[0] == state:
            return kept[1]
        piece = self._encode_self(state)
        if kept is not None and kept[1] == piece:
            piece = kept[1]
        self._selves[record.id] = state, piece
        return piece

    def _encode_self(self, state: SelfState) -> bytes:
        record, routes = state.record, state.routes
        own = _host_prefixes(record)
        # A node that the directory lacks, such as one that waits for approval, has no routes.
        addresses = tuple(text for text in own if text in routes.allowed_ips) or own
        seen = Seen(
            record=record,
            is_online=True,
            is_expired=state.is_expired,
            allowed_ips=routes.allowed_ips or own,
            primary_routes=routes.primary_routes,
        )
        cap_map = {
            name: [] if values is None else values for name, values in state.capabilities.items()
        }
        wire = wire_node(
            seen, suffix=self._domain, addresses=addresses, cap_map=cap_map or None, is_self=True
        )
        return dump_json(wire.to_json())

    def profile(self, user: UserRecord | None) -> bytes:
        """Return an owner; None is the owner of tagged nodes."""
        if user is None:
            return self._tagged_devices
        kept = self._profiles.get(user.id)
        if kept is not None and kept[0] is user:
            return kept[1]
        profile = UserProfile(
            id=user.id,
            login_name=user.login_name,
            display_name=user.display_name or user.name,
            profile_pic_url=user.picture_url,
        )
        piece = dump_json(profile.to_json())
        self._profiles[user.id] = user, piece
        return piece

    def first_fields(self, now: datetime) -> dict[str, bytes]:
        """Return what only the first message of a stream has."""
        return {**self._first, "ControlTime": dump_json(format_time(now))}

    def framed(self, message: bytes, *, is_compressed: bool) -> bytes:
        """Return a message as a frame; the same small change for many nodes is compressed once."""
        if not is_compressed:
            return frame(message)
        if len(message) > _MAX_KEPT_BYTES:
            return frame(compress(message))
        framed = self._compressed.get(message)
        if framed is None:
            framed = self._compressed[message] = frame(compress(message))
            if len(self._compressed) > _COMPRESSED_KEPT:
                self._compressed.popitem(last=False)
        return framed


def _host_prefixes(record: NodeRecord) -> tuple[str, ...]:
    return tuple(f"{ip}/{ip.max_prefixlen}" for ip in record.addresses)
