"""Answers from the filters that the receiving nodes really get."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.compile.network import CompiledNetwork
from engine.evaluate.evaluator import FilterEvaluator
from engine.evaluate.flow import Flow, Reason
from engine.explain.nearmiss import NearMiss, nearest_rules
from engine.explain.parties import Party, read_party, read_protocol
from engine.netset.ipset import IpSet
from engine.netset.prefix import Prefix
from engine.netset.protocols import protocol_name
from engine.netset.ranges import parse_ranges

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.directory import Directory, DirectoryNode
    from engine.rules import FilterRule, Origin, PortRange
    from policy.model.document import Policy

__all__ = ["Answer", "Explanation", "explain"]

_MAX_PAIRS = 64
"""Pairs of addresses to answer for; more would explain nothing to a reader."""


class Answer(NamedTuple):
    """The answer for one source and one destination address."""

    src: str
    dst: str
    allowed: bool
    origins: tuple[Origin, ...]
    """The policy rules that allow it, in order."""
    reason: str


class Explanation(NamedTuple):
    """The answer to a question as a whole."""

    verdict: str
    """`allowed` if every pair of addresses is, `denied` if none is, else `partly`."""
    questions: tuple[Answer, ...]
    nearest: tuple[NearMiss, ...]
    """Where something is denied: the rules that come nearest to allowing it."""
    notes: tuple[str, ...]


def explain(
    policy: Policy,
    directory: Directory,
    src: str,
    dst: str,
    port: int | None = None,
    proto: str | None = None,
) -> Explanation:
    """Explain whether `src` may reach `dst`, each a host name, an address or a selector.

    Without a port any open port counts. Raises QuestionError for names that mean nothing here.
    """
    network = CompiledNetwork(policy, directory)
    resolver = network.filters.resolver
    protocol = read_protocol(proto)
    sources = read_party(src, resolver)
    targets = read_party(dst, resolver)
    pairs = [(s, d) for s in sources for d in targets if s.address.version == d.address.version]
    asker = _Asker(network, protocol, port)
    answers = [asker.ask(s, d) for s, d in pairs[:_MAX_PAIRS]]
    denied = [pair for pair, answer in zip(pairs, answers, strict=False) if not answer.allowed]
    nearest = nearest_rules(resolver, *denied[0], protocol, port) if denied else ()
    notes = list(asker.notes)
    if not pairs:
        notes.append("source and destination share no IP version")
    if len(pairs) > _MAX_PAIRS:
        notes.append(f"only the first {_MAX_PAIRS} of {len(pairs)} pairs of addresses were asked")
    if policy.allows_everything:
        notes.append("the policy has neither acls nor grants, which allows everything")
    return Explanation(_verdict(answers), tuple(answers), nearest, tuple(dict.fromkeys(notes)))


def _verdict(answers: list[Answer]) -> str:
    if answers and all(answer.allowed for answer in answers):
        return "allowed"
    return "partly" if any(answer.allowed for answer in answers) else "denied"


class _Asker:
    """Asks the receivers' filters, compiling each once."""

    def __init__(self, network: CompiledNetwork, protocol: int, port: int | None) -> None:
        self._network = network
        self._protocol = protocol
        self._port = port
        self._evaluators: dict[int, FilterEvaluator] = {}
        self.notes: list[str] = []

    def ask(self, src: Party, dst: Party) -> Answer:
        """Answer for one pair of addresses."""
        receiver = dst.node or self._carrier(src, dst)
        if receiver is None:
            reason = f"{dst.address} is no device's and no route to it is shown to the source"
            return Answer(str(src), str(dst), allowed=False, origins=(), reason=reason)
        rules = self._network.packet_filters[receiver.index]
        via = "" if dst.node else f" through {receiver.hostname}"
        if self._port is None:
            return self._any_port(src, dst, rules, via)
        flow = self._flow(src, dst, self._port)
        evaluator = self._evaluator(receiver, rules)
        verdict = evaluator.decide(flow)
        origins = _origins(rules[index] for index in evaluator.matching(flow))
        name = protocol_name(self._protocol)
        words = f"{name} port {self._port} is open{via}" if verdict.allowed else f"no rule{via}"
        if verdict.reason is Reason.TSMP:
            words = "TSMP always passes"
        return Answer(str(src), str(dst), verdict.allowed, origins, words)

    def _any_port(self, src: Party, dst: Party, rules: tuple[FilterRule, ...], via: str) -> Answer:
        opened: dict[PortRange, None] = {}
        matching = []
        for rule in rules:
            ports = dict.fromkeys(self._opened(rule, src, dst))
            if ports:
                matching.append(rule)
                opened.update(ports)
        spelled = ", ".join(
            str(first) if first == last else f"{first}-{last}" for first, last in opened
        )
        words = f"open ports{via}: {spelled}" if opened else f"no rule{via}"
        return Answer(str(src), str(dst), bool(opened), _origins(matching), words)

    def _opened(self, rule: FilterRule, src: Party, dst: Party) -> Iterator[PortRange]:
        if self._protocol not in rule.protocols or src.address not in IpSet.of_strings(
            rule.src_ips
        ):
            return
        for ip, ports in rule.dst_ports:
            if any(held.contains(*dst.address) for held in parse_ranges(ip)):
                yield ports

    def _flow(self, src: Party, dst: Party, port: int) -> Flow:
        return Flow(src.address.version, src.address.value, dst.address.value, self._protocol, port)

    def _evaluator(self, node: DirectoryNode, rules: tuple[FilterRule, ...]) -> FilterEvaluator:
        found = self._evaluators.get(node.index)
        if found is None:
            found = self._evaluators[node.index] = FilterEvaluator(rules)
        return found

    def _carrier(self, src: Party, dst: Party) -> DirectoryNode | None:
        """Return the router or exit node that a source would send through: longest prefix wins."""
        nodes = self._network.directory.nodes
        best: tuple[int, int] | None = None
        for index, texts in self._routes_shown(src):
            for prefix in map(Prefix.parse, texts):
                if prefix.contains(*dst.address) and (best is None or prefix.length > best[0]):
                    best = (prefix.length, index)
        if best is None:
            return None
        if best[0] == 0:
            self.notes.append("the internet is reached through an exit node, once it is chosen")
        return nodes[best[1]]

    def _routes_shown(self, src: Party) -> Iterator[tuple[int, tuple[str, ...]]]:
        if src.node is not None:
            for view in self._network.peers.peers(src.node.index):
                yield view.node, view.allowed_ips
            return
        for node in self._network.directory.nodes:
            yield node.index, (*(route.text for route in node.routes), *node.exit_routes)


def _origins(rules: Iterator[FilterRule] | list[FilterRule]) -> tuple[Origin, ...]:
    return tuple(dict.fromkeys(origin for rule in rules for origin in rule.origins))
