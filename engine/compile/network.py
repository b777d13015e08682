"""Everything that the nodes of a tailnet are told, from one policy and one directory."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from engine.compile.capabilities import CapabilityCompiler
from engine.compile.changes import changes_between
from engine.compile.filters import FilterCompiler
from engine.compile.peers import PeerCompiler
from engine.compile.ssh import SshCompiler

if TYPE_CHECKING:
    from engine.compile.changes import Changes
    from engine.compile.ssh import SshPolicyRule
    from engine.directory import Directory
    from engine.rules import FilterRule
    from policy.model.document import Policy

__all__ = ["CompiledNetwork"]


class CompiledNetwork:
    """A policy compiled for a directory; each part is worked out when first asked for.

    With `before`, what that network worked out already is taken over where it still holds.
    """

    def __init__(
        self, policy: Policy, directory: Directory, before: CompiledNetwork | None = None
    ) -> None:
        self.policy = policy
        self.directory = directory
        self._before = before

    def settle(self) -> Changes | None:
        """Work everything out now, and return what is new since `before`; None where there is none.

        Lets go of `before`.
        """
        _ = self.packet_filters, self.capabilities, self.ssh, self.peers.visible
        changes = None if self._before is None else changes_between(self._before, self)
        self._before = None
        return changes

    @cached_property
    def filters(self) -> FilterCompiler:
        """The compiler of packet filters."""
        before = None if self._before is None else self._before.filters
        return FilterCompiler(self.policy, self.directory, before)

    @cached_property
    def packet_filters(self) -> tuple[tuple[FilterRule, ...], ...]:
        """Every node's packet filter, in topology order."""
        if self._before is None:
            return tuple(rules for _, rules in self.filters.compile_all())
        return tuple(self.filters.compile_after(self._before.filters, self._before.packet_filters))

    @cached_property
    def capabilities(self) -> CapabilityCompiler:
        """The compiler of node capabilities."""
        return CapabilityCompiler(self.policy, self.filters.resolver)

    @cached_property
    def ssh(self) -> SshCompiler:
        """The compiler of SSH policies."""
        before = None if self._before is None else self._before.ssh
        return SshCompiler(self.policy, self.filters.resolver, before)

    @cached_property
    def peers(self) -> PeerCompiler:
        """The compiler of peer views. Needs the filters of all nodes."""
        return PeerCompiler(self.filters, self.packet_filters, self.capabilities)

    def ssh_policy(self, index: int) -> tuple[SshPolicyRule, ...]:
        """Return a node's SSH rules."""
        return self.ssh.compile(index)

    def node_to_wire(self, index: int) -> dict[str, Any]:
        """Return everything that a node is told, in the wire's own JSON spelling."""
        return {
            "packetFilter": [rule.to_wire() for rule in self.packet_filters[index]],
            "sshPolicy": {"rules": [rule.to_wire() for rule in self.ssh_policy(index)]},
            "peers": self.peers_to_wire(index),
            "selfAllowedIPs": list(self.peers.self_allowed_ips(index)),
            "selfCapMap": self.capabilities.self_map(index),
        }

    def peers_to_wire(self, index: int) -> dict[str, Any]:
        """Return what a node is told of its peers, by host name."""
        peers: dict[str, Any] = {}
        for view in self.peers.peers(index):
            peer: dict[str, Any] = {
                "allowedIPs": list(view.allowed_ips),
                "primaryRoutes": list(view.primary_routes),
            }
            capabilities = self.capabilities.peer_map(view.node)
            if capabilities:
                peer["capMap"] = capabilities
            peers[self.directory.nodes[view.node].hostname] = peer
        return peers
