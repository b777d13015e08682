"""Whose address is whose, as far as disco proved it: the last few of each peer."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from node.transport.endpoint import Endpoint

__all__ = ["SeenAddresses"]

ADDRESSES_PER_PEER: Final = 16


class SeenAddresses:
    """Both ways round; an address belongs to whoever proved it last."""

    def __init__(self) -> None:
        self._owners: dict[Endpoint, bytes] = {}
        self._of: dict[bytes, OrderedDict[Endpoint, None]] = {}

    def owner(self, endpoint: Endpoint) -> bytes | None:
        """Return the node key of the peer that proved to send from an address."""
        return self._owners.get(endpoint)

    def note(self, node_key: bytes, endpoint: Endpoint) -> None:
        """Note that a peer proved to send from an address."""
        self._owners[endpoint] = node_key
        held = self._of.setdefault(node_key, OrderedDict())
        held[endpoint] = None
        held.move_to_end(endpoint)
        if len(held) > ADDRESSES_PER_PEER:
            self._release(held.popitem(last=False)[0], node_key)

    def forget(self, node_key: bytes) -> None:
        """Forget a peer's addresses."""
        for endpoint in self._of.pop(node_key, ()):
            self._release(endpoint, node_key)

    def _release(self, endpoint: Endpoint, node_key: bytes) -> None:
        # Another peer may have moved to that address meanwhile.
        if self._owners.get(endpoint) == node_key:
            del self._owners[endpoint]
