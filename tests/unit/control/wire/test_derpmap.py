"""DERP maps that people wrote: any spelling of keys, and mistakes named with their place."""

from __future__ import annotations

from typing import Any

import pytest

from control.wire import DerpNode, DerpRegion, WireError, read_derp_map

NODE = {"name": "900a", "hostname": "relay.example.com", "stunport": -1}


@pytest.mark.parametrize(
    "value",
    [
        # As Headscale's file.
        {"regions": {900: {"regionid": 900, "regioncode": "x", "nodes": [NODE]}}},
        # As Go writes it.
        {
            "Regions": {
                "900": {
                    "RegionID": 900,
                    "RegionCode": "x",
                    "Nodes": [
                        {
                            "Name": "900a",
                            "RegionID": 900,
                            "HostName": "relay.example.com",
                            "STUNPort": -1,
                        }
                    ],
                }
            }
        },
    ],
)
def test_keys_may_be_in_any_case(value: Any) -> None:
    node = DerpNode(name="900a", region_id=900, host_name="relay.example.com", stun_port=-1)
    region = DerpRegion(region_id=900, region_code="x", nodes=(node,))
    assert read_derp_map(value).regions == {900: region}


def test_null_takes_a_region_away() -> None:
    assert read_derp_map({"regions": {1: None}}).regions == {1: None}


def test_nothing_names_nothing() -> None:
    assert read_derp_map({"omitDefaultRegions": True, "later": 1}).regions == {}


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (None, "DerpMap: expected an object"),
        ([], "DerpMap: expected an object"),
        ({"regions": []}, "DerpMap.Regions: expected an object"),
        ({"regions": {"x": None}}, "DerpMap.Regions: keys must be whole numbers"),
        ({"regions": {0: None}}, r"DerpMap.Regions\[0\]: numbers begin at 1"),
        ({"regions": {1: 7}}, r"DerpMap.Regions\['1'\]: expected an object"),
        ({"regions": {1: {"regionid": 2}}}, r"Regions\[1\].RegionID: expected 1"),
        ({"regions": {1: {"nodes": [{**NODE, "regionid": 2}]}}}, "RegionID: expected 1"),
        ({"regions": {1: {"nodes": [NODE, {"name": "1b"}]}}}, r"Nodes\[1\]: Name and HostName"),
        ({"regions": {1: {"nodes": [{**NODE, "derpport": "443"}]}}}, r"Nodes\[0\].DERPPort"),
    ],
)
def test_mistakes_are_named_with_their_place(value: Any, place: str) -> None:
    with pytest.raises(WireError, match=place):
        read_derp_map(value)
