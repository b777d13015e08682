"""What one connected node has been told, and what to tell it next.

A session keeps no queue of changes. It holds what the node knows and marks what may have become
old; the next message is worked out from the state as it is then. A slow node therefore costs no
memory and never hears of states that are over.
"""

from __future__ import annotations

import asyncio
from enum import Flag, auto
from typing import TYPE_CHECKING, Any

from control.mapper.wire_node import Seen, patch_between
from control.wire.filter import BASE_FILTER, WIREGUARD_ONLY_FILTER, filter_origins
from control.wire.framing import dump_json

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from control.mapper.atlas import Atlas
    from control.mapper.network import PeerRoutes
    from control.store.records import UserRecord
    from engine.rules import FilterRule

__all__ = ["MapSession", "Part"]


class Part(Flag):
    """Parts of what a node is told that follow from the network in force."""

    VIEWS = auto()
    """Its peers, with their addresses and routes."""
    RULES = auto()
    """Its packet filter and SSH policy."""
    ORIGINS = auto()
    """The lines of the policy that its filter comes from."""
    SELF = auto()
    """Itself."""


EVERY_PART = Part.VIEWS | Part.RULES | Part.SELF


class MapSession:
    """One map stream. `wake` is set when there may be something to tell."""

    def __init__(
        self, atlas: Atlas, node_id: int, *, wants_peers: bool = True, wants_origins: bool = False
    ) -> None:
        self.node_id = node_id
        self.wake = asyncio.Event()
        self.is_over = False
        """The stream must end: the node is gone or has another stream."""
        self._atlas = atlas
        self._pieces = atlas.pieces
        self._wants_peers = wants_peers
        self._wants_origins = wants_origins
        self._is_first = True
        self._takes_part = False
        self._old_parts = EVERY_PART
        self._views: dict[int, PeerRoutes] = {}
        self._told: dict[int, Seen] = {}
        self._dirty: set[int] = set()
        self._must_check_all = True
        self._self_json = b""
        self._filter: tuple[FilterRule, ...] | None = None
        self._sending: tuple[FilterRule, ...] | None = None
        self._ssh_json = b""
        self._dns_json = b""
        self._derp_json = b""
        self._profiles: dict[int, UserRecord | None] = {}

    def mark(self, node_ids: Iterable[int]) -> None:
        """Note that these nodes may be seen differently now."""
        self._dirty.update(node_ids)
        self.wake.set()

    def follow(self, part: Part) -> None:
        """Note that the network in force says something new to the node."""
        if part is Part.ORIGINS and not self._wants_origins:
            return
        self._old_parts |= part
        self.wake.set()

    def mark_all(self) -> None:
        """Note that anything may have changed."""
        self._must_check_all = True
        self.wake.set()

    def end(self) -> None:
        """End the stream."""
        self.is_over = True
        self.wake.set()

    @property
    def known_peers(self) -> Iterable[int]:
        """Numbers of the nodes that this one has been told of."""
        return self._told.keys()

    def next_message(self, now: datetime) -> bytes | None:
        """Return the JSON to send, or None where the node knows everything."""
        if not self.is_over:
            self.wake.clear()
        is_first, self._is_first = self._is_first, False
        takes_part = self._atlas.takes_part(self.node_id)
        if self._must_check_all or takes_part != self._takes_part:
            # Being expired or let in decides about all that the node may see.
            self._takes_part, self._old_parts = takes_part, EVERY_PART
        old = self._old_parts
        suspects = set(self._dirty)
        if Part.VIEWS in old:
            suspects |= self._take_views()
        if self._must_check_all:
            suspects |= self._views.keys() | self._told.keys()
        fields: dict[str, bytes] = {}
        if Part.SELF in old or self.node_id in self._dirty:
            self._tell_self(fields)
        if self._derp_json != self._pieces.derp_map:
            fields["DERPMap"] = self._derp_json = self._pieces.derp_map
        if suspects or is_first or self._must_check_all:
            self._tell_peers(fields, suspects, now, is_first=is_first)
        if old & (Part.RULES | Part.ORIGINS):
            self._tell_rules(fields)
        if self._must_check_all:
            self._tell_dns(fields)
        self._must_check_all = False
        self._old_parts = Part(0)
        self._dirty.clear()
        if is_first:
            fields.update(self._pieces.first_fields(now))
        if not fields:
            return None
        return b"{" + b",".join(b'"%s":%s' % (k.encode(), v) for k, v in fields.items()) + b"}"

    def _take_views(self) -> set[int]:
        """Follow the network in force; return the peers that it shows otherwise than before."""
        may_see = self._wants_peers and self._takes_part
        old, self._views = self._views, self._atlas.network.peers(self.node_id) if may_see else {}
        if old == self._views:
            return set()
        return {n for n in old.keys() | self._views.keys() if old.get(n) != self._views.get(n)}

    def _tell_self(self, fields: dict[str, bytes]) -> None:
        self_json = self._atlas.self_json(self.node_id)
        if self_json is not None and self_json != self._self_json:
            fields["Node"] = self._self_json = self_json

    def _tell_peers(
        self, fields: dict[str, bytes], suspects: set[int], now: datetime, *, is_first: bool
    ) -> None:
        changed: list[bytes] = []
        patches: list[Any] = []
        owners: set[int | None] = set()
        for node_id in sorted(suspects):
            routes = self._views.get(node_id)
            seen = None if routes is None else self._atlas.seen(node_id, routes, now)
            told = self._told.get(node_id)
            if seen is None or (told is not None and (told is seen or told.is_same(seen))):
                continue
            self._told[node_id] = seen
            patch = None if told is None else patch_between(told, seen)
            if patch is None:
                changed.append(self._atlas.peer_json(seen))
                owners.add(seen.record.user_id)
                self._atlas.note_viewer(self, node_id)
            elif len(patch_json := patch.to_json()) > 1:
                patches.append(patch_json)
        if changed or is_first:
            fields["Peers" if is_first else "PeersChanged"] = b"[" + b",".join(changed) + b"]"
        self._forget_gone(suspects, fields)
        if patches:
            fields["PeersChangedPatch"] = dump_json(patches)
        self._tell_profiles(owners, fields)

    def _forget_gone(self, suspects: set[int], fields: dict[str, bytes]) -> None:
        gone = [
            node_id
            for node_id in sorted(suspects & self._told.keys())
            if node_id not in self._views or not self._atlas.has(node_id)
        ]
        for node_id in gone:
            del self._told[node_id]
            self._atlas.drop_viewer(self, node_id)
        if gone:
            fields["PeersRemoved"] = dump_json(gone)

    def _tell_rules(self, fields: dict[str, bytes]) -> None:
        rules: tuple[FilterRule, ...] = ()
        sending: tuple[FilterRule, ...] | None = None
        ssh_json = b'{"rules":[]}'
        network = self._atlas.network
        if self._takes_part:
            rules = network.packet_filter(self.node_id)
            sending = network.wireguard_only_filter(self.node_id)
            ssh_json = dump_json({"rules": network.ssh_rules(self.node_id)})
        filters: dict[str, list[dict[str, Any]] | None] = {}
        if rules != self._filter:
            self._filter = rules
            filters[BASE_FILTER] = [
                rule.to_wire(with_origins=self._wants_origins) for rule in rules
            ]
        elif self._wants_origins and not _are_from_same_places(rules, self._filter):
            # The lines of the policy moved, the filter did not: it is not sent again.
            self._filter = rules
            fields["PosternOrigins"] = dump_json({BASE_FILTER: filter_origins(rules)})
        if sending != self._sending:
            self._sending = sending
            filters[WIREGUARD_ONLY_FILTER] = (
                None if sending is None else [rule.to_wire() for rule in sending]
            )
        if filters:
            fields["PacketFilters"] = dump_json(filters)
        if ssh_json != self._ssh_json:
            fields["SSHPolicy"] = self._ssh_json = ssh_json

    def _tell_dns(self, fields: dict[str, bytes]) -> None:
        if self._dns_json != self._pieces.dns_config:
            fields["DNSConfig"] = self._dns_json = self._pieces.dns_config

    def _tell_profiles(self, owners: set[int | None], fields: dict[str, bytes]) -> None:
        """Send the owners of what became visible, each once; others stay unknown to the node."""
        own = self._atlas.record(self.node_id)
        if own is not None:
            owners.add(own.user_id)
        if self._must_check_all:
            owners |= {None if user_id == 0 else user_id for user_id in self._profiles}
        news = []
        for user_id in sorted(owners, key=lambda number: number or 0):
            user = self._atlas.user(user_id)
            key = user_id or 0
            if key not in self._profiles or self._profiles[key] is not user:
                self._profiles[key] = user
                news.append(self._pieces.profile(user))
        if news:
            fields["UserProfiles"] = b"[" + b",".join(news) + b"]"


def _are_from_same_places(rules: tuple[FilterRule, ...], told: tuple[FilterRule, ...]) -> bool:
    """Return whether equal filters have equal origins, which their equality leaves out."""
    return rules is told or all(
        rule.origins == old.origins and rule.shares == old.shares
        for rule, old in zip(rules, told, strict=True)
    )
