"""SSH policy: which principals may log in to a node as whom (policy reference 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from engine.rules import Origin
from policy.model.selectors import Autogroup, Selector

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.directory import Directory, DirectoryNode, DirectoryUser
    from engine.resolve.selectors import Resolver, Strings
    from policy.model.document import Policy
    from policy.model.rules import SshRule

__all__ = ["SshCompiler", "SshPolicyRule"]

_NONROOT = "autogroup:nonroot"
_LOCALPART = "localpart:*@"
_ACCEPT: dict[str, Any] = {
    "accept": True,
    "allowAgentForwarding": True,
    "allowLocalPortForwarding": True,
    "allowRemotePortForwarding": True,
}
_CHECK: dict[str, Any] = {
    "holdAndDelegate": (
        "https://unused/machine/ssh/action/$SRC_NODE_ID/to/$DST_NODE_ID?local_user=$LOCAL_USER"
    )
}
_RECORDER_PORT = 80


class SshPolicyRule(NamedTuple):
    """One rule of a node's SSH policy."""

    principals: Strings
    """Addresses of the sources, sorted as text; repeated where a source was named repeatedly."""
    ssh_users: Mapping[str, str]
    """Requested account to local account; `=` is the same name, empty is denied."""
    check: bool
    accept_env: Strings
    recorders: Strings
    """Addresses with port of the session recorders."""
    enforce_recorder: bool
    check_period_ns: int | None
    """Kept by the server, never sent."""
    origin: Origin

    @property
    def told(self) -> tuple[Any, ...]:
        """The part that nodes are told."""
        return self[:6]

    def to_wire(self) -> dict[str, Any]:
        """Return the rule in the wire's own JSON spelling (6.1)."""
        action = dict(_CHECK if self.check else _ACCEPT)
        if self.recorders:
            action["recorders"] = list(self.recorders)
        if self.enforce_recorder:
            action["onRecordingFailure"] = {
                "rejectSessionWithMessage": "session recording is required and not available",
                "terminateSessionWithMessage": "session recording is required and has stopped",
            }
        wire: dict[str, Any] = {
            "principals": [{"nodeIP": address} for address in self.principals],
            "sshUsers": dict(self.ssh_users),
            "action": action,
        }
        if self.accept_env:
            wire["acceptEnv"] = list(self.accept_env)
        return wire


class _Sources(NamedTuple):
    """The sources of one rule."""

    nodes: tuple[int, ...]
    """In the order of the selectors, with the repetitions that the service makes."""
    users: Mapping[str, str]
    """The user map without localpart accounts."""
    domains: frozenset[str]
    """Domains of `localpart:*@domain` entries."""


class SshCompiler:
    """Compiles the SSH policy of any node."""

    def __init__(
        self, policy: Policy, resolver: Resolver, before: SshCompiler | None = None
    ) -> None:
        self._resolver = resolver
        self._directory: Directory = resolver.directory
        self._compiled: dict[int, tuple[SshPolicyRule, ...]] = {}
        self._owned: dict[tuple[int, str], tuple[int, ...]] = {}
        # Equal lists of principals are one object, in the next network too, so that comparing
        # policies costs little.
        self._known: dict[Strings, Strings] = {} if before is None else before.principal_lists
        self.principal_lists: dict[Strings, Strings] = {}
        """Each list of principals in any rule, by its value."""
        self._rules = [(rule, self._sources(rule)) for rule in policy.ssh]
        self._targets = [self._destinations(rule) for rule in policy.ssh]
        self._principals: dict[tuple[int, ...], Strings] = {}

    def compile(self, index: int) -> tuple[SshPolicyRule, ...]:
        """Return a node's rules: checks before accepts, else in file order."""
        if not self._rules:
            return ()
        found = self._compiled.get(index)
        if found is None:
            found = self._compiled[index] = self._compile(index)
        return found

    def _compile(self, index: int) -> tuple[SshPolicyRule, ...]:
        node = self._directory.nodes[index]
        rules = [
            compiled
            for number, (rule, sources) in enumerate(self._rules)
            if sources.nodes
            for compiled in self._rule(number, rule, sources, node)
        ]
        return tuple(sorted(rules, key=lambda rule: not rule.check))

    def _sources(self, rule: SshRule) -> _Sources:
        postures = self._resolver.postures_of(rule.src_posture)
        nodes = tuple(
            index
            for selector in rule.src
            for index in self._source_nodes(selector)
            if self._resolver.passes(index, postures)
        )
        users = {"root": "root" if "root" in rule.users else ""}
        domains = set()
        for user in rule.users:
            domain = user.removeprefix(_LOCALPART)
            if user == _NONROOT:
                users["*"] = "="
            elif domain and domain != user:
                domains.add(domain)
            elif user != "root":
                users[user] = user
        return _Sources(nodes, users, frozenset(domains))

    def _source_nodes(self, selector: Selector) -> Iterator[int]:
        if isinstance(selector, Autogroup) and selector.name == "tagged":
            # The service walks the tags, so a node with two tags comes twice.
            for node in self._directory.nodes:
                for _ in node.tags:
                    yield node.index
        else:
            yield from self._resolver.extent(selector).nodes

    def _destinations(self, rule: SshRule) -> frozenset[int]:
        return frozenset(
            index
            for selector in rule.dst
            if not selector.is_self
            for index in self._resolver.extent(selector).nodes
        )

    def _rule(
        self, number: int, rule: SshRule, sources: _Sources, node: DirectoryNode
    ) -> Iterator[SshPolicyRule]:
        by_self = node.user is not None and any(selector.is_self for selector in rule.dst)
        if by_self:
            mine = self._owned_sources(number, sources, node.user or "")
            yield from self._split(rule, sources, mine)
        if node.index in self._targets[number]:
            yield from self._split(rule, sources, sources.nodes)
        elif sources.domains and node.index in sources.nodes and not by_self:
            # A quirk of the service: a source that is no destination gets its own share as well.
            if node.user is None:
                yield self._make(rule, (node.index,), sources.users)
            else:
                own = self._owned_sources(number, sources, node.user)
                yield from self._split(rule, sources, own)

    def _owned_sources(self, number: int, sources: _Sources, login: str) -> tuple[int, ...]:
        """Return a rule's sources that one user owns, worked out once for all nodes of theirs."""
        owned = self._owned.get((number, login))
        if owned is None:
            owned = tuple(i for i in sources.nodes if self._owner(i) == login)
            self._owned[number, login] = owned
        return owned

    def _split(
        self, rule: SshRule, sources: _Sources, nodes: tuple[int, ...]
    ) -> Iterator[SshPolicyRule]:
        """Yield one rule, or with localpart accounts those of each user and of tagged nodes."""
        if not nodes:
            return
        if not sources.domains:
            yield self._make(rule, nodes, sources.users)
            return
        for user in sorted(self._directory.users, key=_by_id):
            owned = tuple(i for i in nodes if self._owner(i) == user.login)
            if not owned:
                continue
            yield self._make(rule, owned, sources.users)
            local, _, domain = user.login.rpartition("@")
            if domain in sources.domains:
                yield self._make(rule, owned, {local: local})
        tagged = tuple(i for i in nodes if self._owner(i) is None)
        if tagged:
            yield self._make(rule, tagged, sources.users)

    def _make(
        self, rule: SshRule, nodes: tuple[int, ...], users: Mapping[str, str]
    ) -> SshPolicyRule:
        principals = self._principals.get(nodes)
        if principals is None:
            texts = (text for i in nodes for text in self._resolver.address_texts(i))
            principals = self._shared(tuple(sorted(texts)))
            self._principals[nodes] = principals
        return SshPolicyRule(
            principals=principals,
            ssh_users=users,
            check=rule.check,
            accept_env=rule.accept_env,
            recorders=tuple(self._recorders(rule)),
            enforce_recorder=rule.enforce_recorder,
            check_period_ns=rule.check_period_ns,
            origin=Origin("ssh", rule.position, rule.line),
        )

    def _shared(self, texts: Strings) -> Strings:
        return self.principal_lists.setdefault(texts, self._known.get(texts, texts))

    def _recorders(self, rule: SshRule) -> Iterator[str]:
        for selector in rule.recorder:
            for index in self._resolver.extent(selector).nodes:
                for address in self._directory.nodes[index].addresses:
                    host = str(address) if address.version == 4 else f"[{address}]"
                    yield f"{host}:{_RECORDER_PORT}"

    def _owner(self, index: int) -> str | None:
        return self._directory.nodes[index].user


def _by_id(user: DirectoryUser) -> tuple[int, str]:
    """Order users by number where ids are numbers."""
    return (int(user.id) if user.id.isdecimal() and len(user.id) < 20 else 0, user.id)
