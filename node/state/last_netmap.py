"""The last netmap on disk, so that a node starts while its control server is away.

It is kept as one full message of a map stream: what reads the wire reads the file as well.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from control.wire import MapResponse, WireError
from node.netmap.fold import FoldError, fold

if TYPE_CHECKING:
    from collections.abc import Mapping

    from node.netmap.netmap import NetMap

__all__ = ["from_disk", "to_disk"]


def to_disk(netmap: NetMap) -> dict[str, Any]:
    """Return a netmap as one message's JSON object."""
    message = MapResponse(
        node=netmap.self_node,
        peers=tuple(netmap.peers.values()),
        derp_map=netmap.derp_map,
        dns_config=netmap.dns_config,
        domain=netmap.domain,
        packet_filters={"*": None, **netmap.filters},
        user_profiles=tuple(netmap.user_profiles.values()),
        ssh_policy=netmap.ssh_policy,
    )
    value: Any = message.to_json()
    return dict(value)


def from_disk(value: Mapping[str, Any], now: datetime) -> NetMap | None:
    """Return the netmap, or None for what cannot be read: the control server will tell again.

    Nobody is known to be online in it.
    """
    try:
        message = MapResponse.from_json(dict(value))
        netmap, _ = fold(None, message, now.astimezone(UTC))
    except (WireError, FoldError, ValueError):
        return None
    return netmap
