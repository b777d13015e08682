"""What nodes are told, as JSON in the control protocol's spelling, one node at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.cli.filter_json import FilterEncoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.compile.network import CompiledNetwork

__all__ = ["compiled_json"]


def compiled_json(
    network: CompiledNetwork, nodes: Sequence[int], parts: Sequence[str]
) -> Iterator[str]:
    """Yield the text of `{"nodes": {HOSTNAME: {PART: ...}}}` piece by piece."""
    encoder = FilterEncoder()
    yield '{"nodes":{'
    for place, index in enumerate(nodes):
        name = encoder.encode(network.directory.nodes[index].hostname)
        told = ",".join(f'"{part}":{text}' for part, text in _node(network, index, parts, encoder))
        yield f"{',' if place else ''}\n{name}:{{{told}}}"
    yield "\n}}\n"


def _node(
    network: CompiledNetwork, index: int, parts: Sequence[str], encoder: FilterEncoder
) -> Iterator[tuple[str, str]]:
    for part in parts:
        if part == "packetFilter":
            # Peers need the filters of every node; without them, one at a time is held.
            keeps_all = "peers" in parts
            rules = network.packet_filters[index] if keeps_all else network.filters.compile(index)
            yield part, encoder.filter(rules)
        elif part == "peers":
            yield part, encoder.encode(network.peers_to_wire(index))
        elif part == "sshPolicy":
            yield (
                part,
                encoder.encode({"rules": [rule.to_wire() for rule in network.ssh_policy(index)]}),
            )
        elif part == "selfAllowedIPs":
            yield part, encoder.encode(network.peers.self_allowed_ips(index))
        elif part == "selfCapMap":
            yield part, encoder.encode(network.capabilities.self_map(index))
        else:
            raise ValueError(f"no such part: {part}")
