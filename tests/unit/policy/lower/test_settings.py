"""derpMap, extraDNSRecords and single settings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from policy.load import load
from policy.source import Source

if TYPE_CHECKING:
    from policy.model.document import Policy


def accepted(policy: dict[str, Any]) -> Policy:
    loaded = load(Source("policy", json.dumps(policy)))
    assert loaded.policy is not None, loaded.diagnostics
    return loaded.policy


def codes(policy: dict[str, Any]) -> list[str]:
    return [found.code for found in load(Source("policy", json.dumps(policy))).diagnostics]


def test_derp_map_in_the_reference_spelling() -> None:
    node = {"NAME": "1", "regionid": 900, "HostName": "derp.corp.test", "STUNPort": -1}
    regions = {"900": {"RegionID": 900, "nodes": [node]}, "1": None}
    policy = accepted({"derpMap": {"OmitDefaultRegions": True, "Regions": regions}})
    assert policy.derp_map == {
        "omitDefaultRegions": True,
        "regions": {
            "900": {
                "regionID": 900,
                "nodes": [
                    {"name": "1", "regionID": 900, "hostName": "derp.corp.test", "stunPort": -1}
                ],
            },
            "1": None,
        },
    }


@pytest.mark.parametrize(
    ("derp_map", "code"),
    [
        ({"regions": {"nine": None}}, "POL204"),
        ({"regions": {"900": 1}}, "POL201"),
        ({"regions": {"900": {"regionID": "900"}}}, "POL201"),
        ({"regions": {"900": {"nodes": [{"derpPort": 70000}]}}}, "POL204"),
        ({"regions": {"900": {"nodes": [{"port": 1}]}}}, "POL202"),
    ],
)
def test_bad_derp_maps(derp_map: dict[str, Any], code: str) -> None:
    assert codes({"derpMap": derp_map}) == [code]


def test_dns_records_are_addresses() -> None:
    record = {"name": "wiki.corp.test", "type": "A", "value": "100.64.0.9"}
    assert accepted({"extraDNSRecords": [record]}).extra_dns_records == (record,)
    assert codes({"extraDNSRecords": [{**record, "type": "MX"}]}) == ["POL204"]


@pytest.mark.parametrize("value", ["", "mac-always", "mac-never"])
def test_cgnat_route(value: str) -> None:
    assert accepted({"OneCGNATRoute": value}).one_cgnat_route == value


def test_unknown_cgnat_route() -> None:
    assert codes({"OneCGNATRoute": "always"}) == ["POL204"]


def test_attr_config_is_kept() -> None:
    assert accepted({"attrConfig": {"custom:x": {"type": "string"}}}).attr_config == {
        "custom:x": {"type": "string"}
    }
