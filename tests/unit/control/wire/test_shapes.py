"""Every message against the JSON that stock clients and servers write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from control.wire import (
    Debug,
    DerpMap,
    DerpNode,
    DerpRegion,
    DnsConfig,
    MapRequest,
    MapResponse,
    Message,
    PingRequest,
    RegisterRequest,
    RegisterResponse,
    ServerKeys,
    SshAction,
    SshPolicy,
    UserProfile,
    WireNode,
)
from control.wire.hostinfo import Hostinfo

SHAPES: dict[str, Any] = json.loads(Path(__file__).with_name("shapes.json").read_text())

ROUND_TRIPS: dict[str, type[Message | Hostinfo]] = {
    "DERPMap/typical": DerpMap,
    "DERPNode/zero": DerpNode,
    "DERPRegion/zero": DerpRegion,
    "DNSConfig/typical": DnsConfig,
    "DNSConfig/zero": DnsConfig,
    "Debug/typical": Debug,
    "Hostinfo/typical": Hostinfo,
    "Hostinfo/zero": Hostinfo,
    "MapRequest/lite": MapRequest,
    "MapRequest/stream": MapRequest,
    "MapRequest/zero": MapRequest,
    "MapResponse/deltas": MapResponse,
    "MapResponse/empty-collections": MapResponse,
    "MapResponse/zero": MapResponse,
    "Node/expired-peer": WireNode,
    "Node/self": WireNode,
    "OverTLSPublicKeyResponse": ServerKeys,
    "PingRequest/c2n": PingRequest,
    "RegisterRequest/auth-key": RegisterRequest,
    "RegisterRequest/followup": RegisterRequest,
    "RegisterRequest/logout": RegisterRequest,
    "RegisterRequest/zero": RegisterRequest,
    "RegisterResponse/auth-url": RegisterResponse,
    "RegisterResponse/ok": RegisterResponse,
    "RegisterResponse/zero": RegisterResponse,
    "SSHAction/zero": SshAction,
    "SSHPolicy/typical": SshPolicy,
    "UserProfile/zero": UserProfile,
}


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_shape_survives_reading_and_writing(name: str) -> None:
    assert ROUND_TRIPS[name].from_json(SHAPES[name]).to_json() == SHAPES[name]


@pytest.mark.parametrize("name", [name for name in ROUND_TRIPS if not name.startswith("Hostinfo")])
def test_unknown_fields_are_ignored(name: str) -> None:
    shape = {**SHAPES[name], "AddedLater": {"x": [1]}}
    assert ROUND_TRIPS[name].from_json(shape).to_json() == SHAPES[name]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (RegisterRequest, "RegisterRequest/zero"),
        (RegisterResponse, "RegisterResponse/zero"),
        (MapRequest, "MapRequest/zero"),
        (MapResponse, "MapResponse/zero"),
        (DerpNode, "DERPNode/zero"),
        (DerpRegion, "DERPRegion/zero"),
        (DnsConfig, "DNSConfig/zero"),
        (SshAction, "SSHAction/zero"),
        (UserProfile, "UserProfile/zero"),
    ],
)
def test_message_with_nothing_set_is_the_zero_shape(kind: type[Message], name: str) -> None:
    assert kind().to_json() == SHAPES[name]
