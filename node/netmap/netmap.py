"""A node's whole view of its network, as a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from control.wire import (
        DerpMap,
        DisplayMessage,
        DnsConfig,
        SshPolicy,
        UserProfile,
        WireNode,
    )
    from engine.rules import FilterRule

__all__ = ["NetMap"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetMap:
    """What the control server has said, all messages of a stream together."""

    self_node: WireNode
    peers: Mapping[int, WireNode] = field(default_factory=dict)
    """By node number, ascending."""
    derp_map: DerpMap | None = None
    dns_config: DnsConfig | None = None
    domain: str = ""
    filters: Mapping[str, tuple[FilterRule, ...]] = field(default_factory=dict)
    """Named lists of rules; none of them lets nothing in."""
    user_profiles: Mapping[int, UserProfile] = field(default_factory=dict)
    ssh_policy: SshPolicy | None = None
    health: tuple[str, ...] = ()
    display_messages: Mapping[str, DisplayMessage] = field(default_factory=dict)
    collect_services: bool = False
    control_time: datetime | None = None

    def is_expired(self, now: datetime) -> bool:
        """Return whether this node's own key is over."""
        expiry = self.self_node.key_expiry
        return expiry is not None and expiry <= now
