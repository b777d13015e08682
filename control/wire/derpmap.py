"""DERP maps: the relays of a tailnet, by region (control reference 4.9)."""

# ruff: noqa: RUF009  (the calls in field defaults declare fields; they make no values)

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from control.wire._codec import (
    Message,
    WireError,
    always,
    field_keys,
    list_of,
    maybe,
    message,
    nullable,
    numbered_map_of,
    plain,
)
from control.wire._scalars import BOOL, FLOAT, INT, TEXT

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DerpHomeParams", "DerpMap", "DerpNode", "DerpRegion", "read_derp_map"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DerpNode(Message):
    """One relay server."""

    name: str = always("Name", TEXT, zero="")
    region_id: int = always("RegionID", INT, zero=0)
    host_name: str = always("HostName", TEXT, zero="")
    cert_name: str = plain("CertName", TEXT, zero="")
    ipv4: str = plain("IPv4", TEXT, zero="")
    """Address, empty for what DNS says, or `none` to leave the family out."""
    ipv6: str = plain("IPv6", TEXT, zero="")
    stun_port: int = plain("STUNPort", INT, zero=0)
    """0 stands for 3478, -1 for no STUN."""
    stun_only: bool = plain("STUNOnly", BOOL, zero=False)
    derp_port: int = plain("DERPPort", INT, zero=0)
    """0 stands for 443."""
    can_port80: bool = plain("CanPort80", BOOL, zero=False)
    insecure_for_tests: bool = plain("InsecureForTests", BOOL, zero=False)
    stun_test_ip: str = plain("STUNTestIP", TEXT, zero="")


@dataclass(frozen=True, slots=True, kw_only=True)
class DerpRegion(Message):
    """Relays that are meshed with one another."""

    region_id: int = always("RegionID", INT, zero=0)
    region_code: str = always("RegionCode", TEXT, zero="")
    region_name: str = always("RegionName", TEXT, zero="")
    latitude: float = plain("Latitude", FLOAT, zero=0)
    longitude: float = plain("Longitude", FLOAT, zero=0)
    avoid: bool = plain("Avoid", BOOL, zero=False)
    no_measure_no_home: bool = plain("NoMeasureNoHome", BOOL, zero=False)
    nodes: tuple[DerpNode, ...] | None = always(
        "Nodes", nullable(list_of(message(DerpNode))), zero=None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DerpHomeParams(Message):
    """How to weigh regions when choosing a home."""

    region_score: Mapping[int, float] | None = maybe("RegionScore", numbered_map_of(FLOAT))


@dataclass(frozen=True, slots=True, kw_only=True)
class DerpMap(Message):
    """All regions. In a delta, absent regions mean "as before"; present ones replace all."""

    home_params: DerpHomeParams | None = maybe("HomeParams", message(DerpHomeParams))
    regions: Mapping[int, DerpRegion | None] | None = maybe(
        "Regions", numbered_map_of(nullable(message(DerpRegion)))
    )
    omit_default_regions: bool = plain("omitDefaultRegions", BOOL, zero=False)


def read_derp_map(value: Any) -> DerpMap:
    """Read a map that people or another service wrote, from JSON's or YAML's values.

    Keys may be in any case, as in Go's JSON and in Headscale's files, and regions may leave their
    number to their key; a region that is null takes one of this number away. Raises WireError.
    """
    top = _respelled(value, DerpMap)
    regions = top.get("Regions") if isinstance(top, dict) else None
    if isinstance(regions, dict):
        top["Regions"] = {str(number): _region_values(each) for number, each in regions.items()}
    read = DerpMap.from_json(top)
    return replace(
        read, regions={n: _numbered(n, region) for n, region in (read.regions or {}).items()}
    )


def _region_values(value: Any) -> Any:
    region = _respelled(value, DerpRegion)
    if isinstance(region, dict) and isinstance(region.get("Nodes"), list):
        region["Nodes"] = [_respelled(node, DerpNode) for node in region["Nodes"]]
    return region


def _respelled(value: Any, kind: type[Message]) -> Any:
    if not isinstance(value, dict):
        return value
    keys = {key.lower(): key for key in field_keys(kind)}
    return {keys.get(str(key).lower(), str(key)): each for key, each in value.items()}


def _numbered(number: int, region: DerpRegion | None) -> DerpRegion | None:
    where = f"DerpMap.Regions[{number}]"
    if number <= 0:
        raise WireError(f"{where}: numbers begin at 1")
    if region is None:
        return None
    for at, node in enumerate(region.nodes or ()):
        if not node.name or not node.host_name:
            raise WireError(f"{where}.Nodes[{at}]: Name and HostName are needed")
        if node.region_id not in {0, number}:
            raise WireError(f"{where}.Nodes[{at}].RegionID: expected {number}")
    if region.region_id not in {0, number}:
        raise WireError(f"{where}.RegionID: expected {number}")
    nodes = tuple(replace(node, region_id=number) for node in region.nodes or ())
    return replace(region, region_id=number, nodes=nodes)
