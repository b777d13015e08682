"""What an agent keeps on disk: who it is, what its user prefers, and the last netmap."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from node.state.directory import StateError
from node.state.identity import Identity
from node.state.last_netmap import from_disk, to_disk
from node.state.preferences import Preferences

if TYPE_CHECKING:
    from control.keys import NodePrivate
    from node.netmap.netmap import NetMap
    from node.state.directory import StateDirectory

__all__ = ["Memory"]

_STATE_FILE: Final = "agent.json"
_NETMAP_FILE: Final = "netmap.json"
_SAVE_GAP_S: Final = 1.0


class Memory:
    """Identity and preferences are written when they change, netmaps at most once a second."""

    def __init__(self, directory: StateDirectory) -> None:
        """Read what is there. Raises StateError or PreferencesError."""
        self._directory = directory
        stored = directory.read(_STATE_FILE) or {}
        if "identity" in stored:
            self.identity = Identity.from_json(stored["identity"])
        else:
            self.identity = Identity.generate(os.urandom)
        self.preferences = Preferences.from_json(stored.get("preferences", {}))
        self.netmap: NetMap | None = None
        self._saved_at = float("-inf")
        self._is_unsaved = False

    def save(self) -> None:
        """Write identity and preferences. Raises StateError."""
        self._directory.write(
            _STATE_FILE,
            {"identity": self.identity.to_json(), "preferences": self.preferences.to_json()},
        )

    def prefer(self, preferences: Preferences) -> None:
        """Take other preferences. Raises StateError."""
        self.preferences = preferences
        self.save()

    def register(self, node_key: NodePrivate) -> None:
        """Keep the node key that the control server took. Raises StateError."""
        if node_key.public != self.identity.node.public:
            self.netmap = None
        self.identity = self.identity.registered(node_key)
        self.save()

    def forget_login(self) -> None:
        """Be nobody again: the node key and the netmap are gone; `save` makes it last."""
        self.identity = self.identity.logged_out(os.urandom)
        self.netmap = None
        self._directory.delete(_NETMAP_FILE)

    def restore_netmap(self) -> None:
        """Take the netmap of an earlier run, if it is this node's. Raises StateError."""
        stored = self._directory.read(_NETMAP_FILE)
        if stored is None or not self.identity.is_registered:
            return
        netmap = from_disk(stored, datetime.now(UTC))
        if netmap is not None and netmap.self_node.key == self.identity.node.public:
            self.netmap = netmap

    def take_netmap(self, netmap: NetMap) -> None:
        """Take a netmap; `write_netmap` keeps it."""
        self.netmap = netmap
        self._is_unsaved = True

    def is_due(self, now: float) -> bool:
        """Return whether a netmap should be written now."""
        return self._is_unsaved and now - self._saved_at >= _SAVE_GAP_S

    def write_netmap(self, now: float) -> str:
        """Write a netmap that was not yet; returns what went wrong, empty when nothing did."""
        if not self._is_unsaved or self.netmap is None:
            return ""
        self._saved_at, self._is_unsaved = now, False
        try:
            self._directory.write(_NETMAP_FILE, to_disk(self.netmap))
        except StateError as error:
            return f"the netmap cannot be kept: {error}"
        return ""
