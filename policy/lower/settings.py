"""The sections that are settings rather than rules: derpMap, extraDNSRecords and single values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from policy.hujson.tree import Literal, Number, Object, String
from policy.lower.fields import Fields

if TYPE_CHECKING:
    from policy.diagnostics.diagnostic import Collector
    from policy.hujson.tree import Node

__all__ = ["lower_derp_map", "lower_dns_records", "lower_one_cgnat_route"]

_DERP_FIELDS = {"omitdefaultregions": "omitDefaultRegions", "regions": "regions"}
_REGION_FIELDS = {
    "regionid": "regionID",
    "regioncode": "regionCode",
    "regionname": "regionName",
    "avoid": "avoid",
    "nodes": "nodes",
}
_NODE_FIELDS = {
    "name": "name",
    "regionid": "regionID",
    "hostname": "hostName",
    "certname": "certName",
    "ipv4": "ipv4",
    "ipv6": "ipv6",
    "stunport": "stunPort",
    "stunonly": "stunOnly",
    "derpport": "derpPort",
    "insecurefortests": "insecureForTests",
    "canport80": "canPort80",
}
_NUMBERS = {"regionID": (1, 2**31 - 1), "stunPort": (-1, 65535), "derpPort": (0, 65535)}
_FLAGS = frozenset({"avoid", "stunOnly", "insecureForTests", "canPort80"})
_RECORD_FIELDS = {"name": "name", "type": "type", "value": "value"}
_CGNAT_ROUTES = ("", "mac-always", "mac-never")


def lower_derp_map(document: Fields, found: Collector) -> dict[str, Any] | None:
    """Read `derpMap` into plain JSON in the field names of the reference; None where absent.

    A region of null stays: it removes a default region.
    """
    node = document.object("derpMap")
    if node is None:
        return None
    fields = Fields(node, _DERP_FIELDS, found)
    regions: dict[str, Any] = {}
    for name, value in fields.entries("regions"):
        if not (name.value.isascii() and name.value.isdigit()):
            found.shape(
                "POL204",
                f'derpMap region "{name.value}" is not a number',
                name.span,
                help="the name of a region is its regionID, from 900 for one of your own",
            )
        regions[name.value] = _region(value, name.value, fields, found)
    return {"omitDefaultRegions": bool(fields.boolean("omitDefaultRegions")), "regions": regions}


def _region(value: Node, name: str, parent: Fields, found: Collector) -> dict[str, Any] | None:
    if isinstance(value, Literal) and value.value is None:
        return None
    if not isinstance(value, Object):
        parent.wrong_type(value, f'derpMap region "{name}"', "an object or null")
        return None
    fields = Fields(value, _REGION_FIELDS, found)
    region = _scalars(fields, _REGION_FIELDS.values())
    region["nodes"] = [
        _scalars(Fields(node, _NODE_FIELDS, found), _NODE_FIELDS.values())
        for node in fields.objects("nodes") or ()
    ]
    return region


def _scalars(fields: Fields, names: Any) -> dict[str, Any]:
    """Read what is present of some single values, each with its type and range."""
    values: dict[str, Any] = {}
    for name in names:
        if name == "nodes" or name not in fields:
            continue
        if name in _NUMBERS:
            value: Any = _number(fields, name)
        elif name in _FLAGS:
            value = fields.boolean(name)
        else:
            term = fields.string(name)
            value = term.text if term else None
        if value is not None:
            values[name] = value
    return values


def _number(fields: Fields, name: str) -> int | None:
    node = fields.get(name)
    if not isinstance(node, Number) or not isinstance(node.value, int):
        if node is not None:
            fields.wrong_type(node, name, "a whole number")
        return None
    low, high = _NUMBERS[name]
    if not low <= node.value <= high:
        fields.found.shape("POL204", f"{name}: {node.raw} is not in {low} to {high}", node.span)
        return None
    return node.value


def lower_dns_records(document: Fields, found: Collector) -> tuple[dict[str, str], ...]:
    """Read `extraDNSRecords`: name, value, and a type of A or AAAA (empty means by the value)."""
    records = []
    for node in document.objects("extraDNSRecords") or ():
        fields = Fields(node, _RECORD_FIELDS, found)
        terms = {name: fields.string(name) for name in _RECORD_FIELDS}
        kind = terms["type"]
        if kind is not None and kind.text not in {"", "A", "AAAA"}:
            found.shape("POL204", f'DNS record type "{kind.text}" is not A or AAAA', kind.span)
        records.append({name: term.text for name, term in terms.items() if term is not None})
    return tuple(records)


def lower_one_cgnat_route(document: Fields, found: Collector) -> str:
    """Read `OneCGNATRoute`."""
    node = document.get("OneCGNATRoute")
    term = document.string("OneCGNATRoute")
    if term is None or term.text in _CGNAT_ROUTES:
        return term.text if term else ""
    found.shape(
        "POL204",
        f'OneCGNATRoute: "{term.text}" is not one of ""'
        + "".join(f', "{known}"' for known in _CGNAT_ROUTES[1:]),
        term.span if isinstance(node, String) else document.node.span,
    )
    return ""
