"""SSH tests against the compiled SSH policy of the destinations (policy reference 8.3)."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from engine.testing.questions import MalformedCaseError, read_named
from policy.model.selectors import Address, Autogroup, Cidr, Selector, Wildcard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.compile.network import CompiledNetwork
    from engine.compile.ssh import SshPolicyRule
    from policy.model.document import Policy
    from policy.model.term import Term

__all__ = ["Login", "NobodyError", "SshOracle", "evaluate_login", "maps_account"]


class NobodyError(MalformedCaseError):
    """A name that stands for no device."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no device is {name}")
        self.name = name


class Login(Enum):
    """What an SSH policy says to one account."""

    ACCEPT = "accept"
    CHECK = "check"
    DENY = "deny"


def evaluate_login(rules: Sequence[SshPolicyRule], source: str, account: str) -> Login:
    """Return what the first rule that speaks of the source and maps the account says (6.4)."""
    for rule in rules:
        if source in rule.principals and maps_account(rule, account):
            return Login.CHECK if rule.check else Login.ACCEPT
    return Login.DENY


def maps_account(rule: SshPolicyRule, account: str) -> bool:
    """Tell whether a rule lets its sources in as an account (6.4)."""
    own = rule.ssh_users.get(account)
    if own is not None:
        return bool(own)
    return account != "root" and bool(rule.ssh_users.get("*"))


class SshOracle:
    """Answers which logins a network's SSH policies allow."""

    def __init__(self, network: CompiledNetwork) -> None:
        self._network = network
        self._policies: dict[int, tuple[SshPolicyRule, ...]] = {}

    def logins(self, src: Selector, dst: Selector, account: str) -> set[Login]:
        """Return the answers over every source address and destination device."""
        found = set()
        for index in self._nodes(dst):
            rules = self._rules(index)
            for source in self._sources(src):
                found.add(evaluate_login(rules, source, account))
        return found

    def _rules(self, index: int) -> tuple[SshPolicyRule, ...]:
        rules = self._policies.get(index)
        if rules is None:
            rules = self._policies[index] = self._network.ssh_policy(index)
        return rules

    def _nodes(self, selector: Selector) -> tuple[int, ...]:
        nodes = self._network.filters.resolver.nodes(selector)
        if not nodes:
            raise NobodyError(str(selector))
        return nodes

    def _sources(self, selector: Selector) -> list[str]:
        resolver = self._network.filters.resolver
        if isinstance(selector, Address):
            return [str(selector.ip)]
        sources = [t for i in resolver.nodes(selector) for t in resolver.address_texts(i)]
        if not sources:
            raise NobodyError(str(selector))
        return sources


def read_party(term: Term, policy: Policy) -> Selector:
    """Read a source or destination of an SSH test. Raises MalformedCaseError."""
    selector = read_named(term, policy)
    if isinstance(selector, Wildcard | Cidr) or (
        isinstance(selector, Autogroup) and selector.name in {"self", "internet", "danger-all"}
    ):
        raise MalformedCaseError(f"{selector} cannot take part in an ssh test")
    return selector
