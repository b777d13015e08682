"""Node capabilities: what a node is told of itself and of its peers (policy reference 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.directory import DirectoryNode
    from engine.resolve.selectors import Resolver
    from policy.model.document import Policy

__all__ = ["DISABLE_IPV4", "CapabilityCompiler"]

DISABLE_IPV4 = "disable-ipv4"
_SUGGEST_EXIT_NODE = "suggest-exit-node"
_PREFIX = "https://tailscale.com/cap/"
_BASELINE = (
    f"{_PREFIX}file-sharing",
    f"{_PREFIX}ssh",
    f"{_PREFIX}tailnet-lock",
    "probe-udp-lifetime",
    "ssh-behavior-v1",
    "ssh-env-vars",
    "store-appc-routes",
)
"""Capabilities of every node, without values (7.1)."""
_FUNNEL_PORTS = f"{_PREFIX}funnel-ports?ports=443,8443,10000"
_FUNNEL_WITHOUT_HTTPS = f"{_PREFIX}warn-funnel-no-https"


class CapabilityCompiler:
    """Works out the capability map of any node."""

    def __init__(self, policy: Policy, resolver: Resolver) -> None:
        self._policy = policy
        self._directory = resolver.directory
        self._granted: list[dict[str, Any]] = [{} for _ in resolver.directory.nodes]
        for entry in policy.node_attrs:
            targets = {i for selector in entry.target for i in resolver.nodes(selector)}
            for index in targets:
                self._granted[index].update(dict.fromkeys(entry.attr))
                for name, value in entry.app.items():
                    self._granted[index].setdefault(name, []).extend(_values(value))

    def self_map(self, index: int) -> dict[str, Any]:
        """Return a node's own capabilities, sorted by name; a value of None means no values."""
        node = self._directory.nodes[index]
        capabilities: dict[str, Any] = dict.fromkeys(_BASELINE)
        capabilities["tailnet-display-name"] = [self._directory.name]
        if self._directory.settings.auto_update is not None:
            capabilities["default-auto-update"] = [self._directory.settings.auto_update]
        capabilities.update(dict.fromkeys(self._role_capabilities(node)))
        if self._policy.randomize_client_port:
            capabilities["randomize-client-port"] = None
        granted = self._granted[index]
        capabilities.update(granted)
        if "funnel" in granted:
            capabilities[_FUNNEL_PORTS] = None
            if not self._directory.settings.https_certificates:
                capabilities[_FUNNEL_WITHOUT_HTTPS] = None
        return dict(sorted(capabilities.items()))

    @property
    def general(self) -> tuple[Any, ...]:
        """Everything that `self_map` takes from no single node."""
        settings = self._directory.settings
        return (
            self._directory.name,
            settings.auto_update,
            settings.https_certificates,
            self._policy.randomize_client_port,
        )

    def own(self, index: int) -> tuple[Any, ...]:
        """Return everything that `self_map` takes from one node, cheap to compare."""
        node = self._directory.nodes[index]
        user = None if node.user is None else self._directory.by_login.get(node.user)
        return (
            self._granted[index],
            node.user is None,
            None if user is None else user.role,
        )

    def peer_map(self, index: int) -> dict[str, Any]:
        """Return what others are told of a node; mostly nothing (7.3)."""
        node = self._directory.nodes[index]
        return {_SUGGEST_EXIT_NODE: None} if node.exit_routes else {}

    def has_ipv4_disabled(self, index: int) -> bool:
        """Whether a node neither has nor sees IPv4 addresses of the tailnet (7.3)."""
        return self._policy.disable_ipv4 or DISABLE_IPV4 in self._granted[index]

    def _role_capabilities(self, node: DirectoryNode) -> list[str]:
        if node.user is None:
            # Recorded: a tagged node passes for the owner's, though not for an admin's.
            return [f"{_PREFIX}is-owner"]
        user = self._directory.by_login.get(node.user)
        role = user.role if user is not None else "member"
        if role == "owner":
            return [f"{_PREFIX}is-admin", f"{_PREFIX}is-owner"]
        return [f"{_PREFIX}is-admin"] if role == "admin" else []


def _values(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
