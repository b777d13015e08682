"""What nodes are told, as JSON in the control protocol's spelling, one node at a time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.compile.network import CompiledNetwork

__all__ = ["compiled_json"]


def compiled_json(
    network: CompiledNetwork, nodes: Sequence[int], parts: Sequence[str]
) -> Iterator[str]:
    """Yield the text of `{"nodes": {HOSTNAME: {PART: ...}}}` piece by piece."""
    # Built once: `json.dumps` with options builds an encoder for each call.
    encode = json.JSONEncoder(separators=(",", ":")).encode
    yield '{"nodes":{'
    for place, index in enumerate(nodes):
        name = encode(network.directory.nodes[index].hostname)
        yield f"{',' if place else ''}\n{name}:{encode(_node(network, index, parts))}"
    yield "\n}}\n"


def _node(network: CompiledNetwork, index: int, parts: Sequence[str]) -> dict[str, Any]:
    if "peers" in parts:
        # Peers need the filters of every node, which are kept from then on.
        wire = network.node_to_wire(index)
        return {part: wire[part] for part in parts}
    return {part: _part(network, index, part) for part in parts}


def _part(network: CompiledNetwork, index: int, part: str) -> Any:
    """Return one part of what a node is told, without working out the others."""
    match part:
        case "packetFilter":
            return [rule.to_wire() for rule in network.filters.compile(index)]
        case "sshPolicy":
            return {"rules": [rule.to_wire() for rule in network.ssh_policy(index)]}
        case "selfAllowedIPs":
            return list(network.peers.self_allowed_ips(index))
        case "selfCapMap":
            return network.capabilities.self_map(index)
        case _:
            raise ValueError(f"no such part: {part}")
