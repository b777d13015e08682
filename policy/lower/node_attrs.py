"""`nodeAttrs`: capabilities pushed to nodes (policy reference 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policy.lower.definitions import read_network
from policy.lower.fields import Fields
from policy.lower.places import TARGET
from policy.model.rules import NodeAttr

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Network, IPv6Network

    from policy.hujson.tree import Object
    from policy.lower.places import SelectorReader
    from policy.model.term import Term

__all__ = ["lower_node_attrs"]

_FIELDS = {"target": "target", "attr": "attr", "app": "app", "ippool": "ipPool"}
_TAILNET = "100.64.0.0/10"
_RESERVED = ("100.100.0.0/24", "100.100.100.0/24", "100.115.92.0/23")
"""Ranges inside the tailnet's that no device gets an address from (policy reference 3.1)."""


def lower_node_attrs(objects: Iterable[Object], reader: SelectorReader) -> tuple[NodeAttr, ...]:
    """Read every entry."""
    return tuple(_entry(place, node, reader) for place, node in enumerate(objects))


def _entry(position: int, node: Object, reader: SelectorReader) -> NodeAttr:
    fields = Fields(node, _FIELDS, reader.found)
    return NodeAttr(
        position=position,
        span=node.span,
        line=reader.found.source.position(node.start).line,
        target=reader.read_all(fields.strings("target"), TARGET),
        attr=tuple(term.text for term in fields.strings("attr")),
        app=fields.json("app") if fields.object("app") else {},
        ip_pool=tuple(_pools(fields.strings("ipPool"), reader)),
    )


def _pools(terms: list[Term], reader: SelectorReader) -> Iterable[IPv4Network | IPv6Network]:
    for term in terms:
        pool = read_network(term.text)
        if pool is None:
            reader.found.meaning(
                "POL223",
                f"IPPool({term.text}): invalid address",
                term.span,
                help=f"an address pool is a CIDR inside {_TAILNET}",
            )
            continue
        problem = _pool_problem(pool)
        if problem:
            reader.found.meaning(
                "POL409",
                f"IPPool({term.text}): {problem}",
                term.span,
                help=f"a pool lies inside {_TAILNET} and clear of {', '.join(_RESERVED)}",
            )
        yield pool


def _pool_problem(pool: IPv4Network | IPv6Network) -> str | None:
    import ipaddress  # noqa: PLC0415  as in read_network

    if not isinstance(pool, ipaddress.IPv4Network) or not pool.subnet_of(
        ipaddress.IPv4Network(_TAILNET)
    ):
        return "network outside of the tailnet's range"
    if any(pool.overlaps(ipaddress.IPv4Network(reserved)) for reserved in _RESERVED):
        return "network within reserved range"
    return None
