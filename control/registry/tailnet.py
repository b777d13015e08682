"""Everything about the tailnet's members that requests need, looked up in constant time.

One owner changes it, on the event loop; everybody else reads. Records are immutable, so what a
reader holds never changes under it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from control.store.records import TailnetSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from control.keys import MachinePublic, NodePublic
    from control.store.records import NodeRecord, UserRecord

__all__ = ["Tailnet"]


class Tailnet:
    """Users and nodes by number, nodes by key and by name, and who is connected."""

    def __init__(
        self,
        users: Iterable[UserRecord],
        nodes: Iterable[NodeRecord],
        settings: TailnetSettings | None = None,
    ) -> None:
        self._users = {user.id: user for user in users}
        self._nodes: dict[int, NodeRecord] = {}
        self._by_key: dict[NodePublic, int] = {}
        self._by_machine: dict[MachinePublic, set[int]] = {}
        self._by_name: dict[str, int] = {}
        self._online: set[int] = set()
        self.settings = settings or TailnetSettings()
        for node in nodes:
            self.put_node(node)

    @property
    def users(self) -> list[UserRecord]:
        """All users by number."""
        return [self._users[number] for number in sorted(self._users)]

    @property
    def nodes(self) -> list[NodeRecord]:
        """All nodes by number."""
        return [self._nodes[number] for number in sorted(self._nodes)]

    def __len__(self) -> int:
        return len(self._nodes)

    def user(self, user_id: int) -> UserRecord | None:
        """Return a user, or None."""
        return self._users.get(user_id)

    def node(self, node_id: int) -> NodeRecord | None:
        """Return a node, or None."""
        return self._nodes.get(node_id)

    def node_by_key(self, key: NodePublic) -> NodeRecord | None:
        """Return the node with this node key, or None."""
        number = self._by_key.get(key)
        return None if number is None else self._nodes[number]

    def authentic_node(self, key: NodePublic, machine: MachinePublic) -> NodeRecord | None:
        """Return the node with this node key if it is this machine's.

        Node keys are public: without the second half anybody could speak for any node. Unknown
        and foreign nodes look the same to the caller on purpose.
        """
        node = self.node_by_key(key)
        return node if node is not None and node.machine_key == machine else None

    def is_member(self, key: NodePublic, now: datetime) -> bool:
        """Return whether a node takes part, and so may use relays: known, let in, not expired."""
        node = self.node_by_key(key)
        return node is not None and node.is_authorized and not node.is_expired(now)

    def nodes_of_machine(self, machine: MachinePublic) -> list[NodeRecord]:
        """Return the nodes of one installation, by number."""
        return [self._nodes[number] for number in sorted(self._by_machine.get(machine, ()))]

    def is_name_taken(self, name: str) -> bool:
        """Return whether a node has this name."""
        return name in self._by_name

    def node_by_name(self, name: str) -> NodeRecord | None:
        """Return the node with this name, or None."""
        number = self._by_name.get(name)
        return None if number is None else self._nodes[number]

    def is_online(self, node_id: int) -> bool:
        """Return whether a node is connected to this or another server."""
        return node_id in self._online

    def set_online(self, node_id: int, *, is_online: bool) -> bool:
        """Note whether a node is connected; return whether that is news."""
        if (node_id in self._online) == is_online or node_id not in self._nodes:
            return False
        if is_online:
            self._online.add(node_id)
        else:
            self._online.discard(node_id)
        return True

    def put_user(self, user: UserRecord) -> None:
        """Add a user or put a newer record in place of its old one."""
        self._users[user.id] = user

    def drop_user(self, user_id: int) -> None:
        """Forget a user."""
        self._users.pop(user_id, None)

    def put_node(self, node: NodeRecord) -> None:
        """Add a node or put a newer record in place of its old one."""
        self._unlink(node.id)
        self._nodes[node.id] = node
        self._by_key[node.node_key] = node.id
        self._by_machine.setdefault(node.machine_key, set()).add(node.id)
        self._by_name[node.given_name] = node.id

    def drop_node(self, node_id: int) -> NodeRecord | None:
        """Forget a node; return what it was."""
        self._unlink(node_id)
        self._online.discard(node_id)
        return self._nodes.pop(node_id, None)

    def _unlink(self, node_id: int) -> None:
        old = self._nodes.get(node_id)
        if old is None:
            return
        # Only what still points here: a key or name may have moved to another node already.
        if self._by_key.get(old.node_key) == node_id:
            del self._by_key[old.node_key]
        if self._by_name.get(old.given_name) == node_id:
            del self._by_name[old.given_name]
        of_machine = self._by_machine[old.machine_key]
        of_machine.discard(node_id)
        if not of_machine:
            del self._by_machine[old.machine_key]

    def __iter__(self) -> Iterator[NodeRecord]:
        return iter(self.nodes)
