"""A node's long-lived keys, and how they go to disk."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from control.keys import DiscoPrivate, KeyTextError, MachinePrivate, NodePrivate
from node.state.directory import StateError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from control.keys import Entropy

__all__ = ["Identity"]


@dataclass(frozen=True, slots=True)
class Identity:
    """The machine key, which never changes, and the node key, which a new login replaces.

    The disco key is kept as well, unlike in the field's clients: after a restart while the control
    server is away, peers could not be told of another one, and would have only their relays.
    """

    machine: MachinePrivate = field(repr=False)
    node: NodePrivate = field(repr=False)
    disco: DiscoPrivate = field(repr=False)
    is_registered: bool = False
    """Whether the control server has taken the node key."""

    @classmethod
    def generate(cls, entropy: Entropy) -> Self:
        """Make the keys of a new node."""
        return cls(
            MachinePrivate.generate(entropy),
            NodePrivate.generate(entropy),
            DiscoPrivate.generate(entropy),
        )

    def registered(self, node: NodePrivate) -> Self:
        """Return the identity after a login with a node key."""
        return replace(self, node=node, is_registered=True)

    def logged_out(self, entropy: Entropy) -> Self:
        """Return the identity after a logout: the old node key is of no use any more."""
        return replace(
            self,
            node=NodePrivate.generate(entropy),
            disco=DiscoPrivate.generate(entropy),
            is_registered=False,
        )

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` takes. Secret."""
        return {
            "machine_key": self.machine.to_secret_text(),
            "node_key": self.node.to_secret_text(),
            "disco_key": self.disco.to_secret_text(),
            "is_registered": self.is_registered,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read keys. Raises StateError."""
        try:
            return cls(
                MachinePrivate.from_secret_text(value["machine_key"]),
                NodePrivate.from_secret_text(value["node_key"]),
                DiscoPrivate.from_secret_text(value["disco_key"]),
                is_registered=bool(value.get("is_registered")),
            )
        except (KeyError, TypeError, AttributeError, KeyTextError) as error:
            raise StateError(f"the stored keys cannot be read: {error}") from None
