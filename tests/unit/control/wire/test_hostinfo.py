"""Hostinfo: kept as it came, checked where the server acts on it, trimmed for peers."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from control.wire import Hostinfo, WireError


def test_unknown_fields_survive() -> None:
    raw = {"Hostname": "alpha", "AddedLater": {"x": 1}}
    assert Hostinfo.from_json(raw).to_json() == raw


def test_typed_parts_are_read() -> None:
    hostinfo = Hostinfo.from_json(
        {
            "Hostname": "alpha",
            "OS": "linux",
            "RoutableIPs": ["10.0.0.0/24"],
            "RequestTags": ["tag:web"],
            "NetInfo": {"PreferredDERP": 900},
        }
    )
    assert (hostinfo.hostname, hostinfo.os, hostinfo.preferred_derp) == ("alpha", "linux", 900)
    assert hostinfo.routable_ips == (ip_network("10.0.0.0/24"),)
    assert hostinfo.request_tags == ("tag:web",)


def test_empty_object_has_zero_parts() -> None:
    hostinfo = Hostinfo.from_json({})
    assert (hostinfo.hostname, hostinfo.routable_ips, hostinfo.preferred_derp) == ("", (), 0)


@pytest.mark.parametrize(
    "raw",
    [
        [],
        {"Hostname": 7},
        {"RoutableIPs": ["10.0.0.1/24"]},
        {"RoutableIPs": ["10.0.0.0/24"] * 1001},
        {"RequestTags": "tag:web"},
        {"RequestTags": ["tag:x"] * 101},
        {"NetInfo": []},
        {"NetInfo": {"PreferredDERP": "900"}},
        {"NetInfo": {"PreferredDERP": -1}},
    ],
)
def test_wrongly_typed_parts_are_refused(raw: object) -> None:
    with pytest.raises(WireError):
        Hostinfo.from_json(raw)


def test_peers_see_only_parts_known_to_be_harmless() -> None:
    hostinfo = Hostinfo(
        {
            "OS": "linux",
            "Hostname": "alpha",
            "BackendLogID": "secret",
            "FrontendLogID": "secret",
            "PushDeviceToken": "secret",
            "NetInfo": {"PreferredDERP": 900},
            "TPM": {},
            "RequestTags": ["tag:x"],
            "WoLMACs": ["00:00"],
            "AddedLater": 1,
        }
    )
    assert hostinfo.for_peers().to_json() == {"OS": "linux", "Hostname": "alpha"}
