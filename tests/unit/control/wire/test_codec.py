"""The three habits of fields, and refusals that name the place but not the value."""

from __future__ import annotations

import pytest

from control.keys import NodePublic
from control.wire import (
    MapResponse,
    PeerChange,
    RegisterAuth,
    RegisterRequest,
    UserProfile,
    WireError,
    WireNode,
)

KEY = NodePublic(bytes(range(32)))


def test_none_is_absent_and_empty_is_not() -> None:
    assert "Health" not in MapResponse().to_json()
    assert MapResponse(health=()).to_json()["Health"] == []


def test_null_reads_as_absent() -> None:
    assert MapResponse.from_json({"Health": None, "Domain": None}) == MapResponse()


def test_null_deletes_a_named_filter() -> None:
    read = MapResponse.from_json({"PacketFilters": {"*": None, "base": []}})
    assert read.packet_filters == {"*": None, "base": ()}


def test_required_field_must_be_there() -> None:
    with pytest.raises(WireError, match=r"WireNode\.Key: missing"):
        WireNode.from_json({"ID": 1})


def test_message_must_be_an_object() -> None:
    with pytest.raises(WireError, match="expected an object"):
        MapResponse.from_json([])


@pytest.mark.parametrize(
    "wire",
    [
        {"Node": 7},
        {"Node": {"ID": "1", "Key": KEY.to_text()}},
        {"Node": {"ID": True, "Key": KEY.to_text()}},
        {"Node": {"ID": 2**53, "Key": KEY.to_text()}},
        {"Node": {"ID": 1, "Key": "nodekey:"}},
        {"Node": {"ID": 1, "Key": KEY.to_text(), "Addresses": ["100.64.0.1/24"]}},
        {"Node": {"ID": 1, "Key": KEY.to_text(), "Addresses": ["100.64.0.1"]}},
        {"Node": {"ID": 1, "Key": KEY.to_text(), "Endpoints": [""]}},
        {"Node": {"ID": 1, "Key": KEY.to_text(), "KeyExpiry": "tomorrow"}},
        {"Node": {"ID": 1, "Key": KEY.to_text(), "Online": 1}},
        {"Peers": [None]},
        {"Peers": {}},
        {"PeersChangedPatch": [{}]},
        {"OnlineChange": {"x": True}},
        {"OnlineChange": {"7": None}},
        {"ControlTime": "2026-01-02T03:04:05"},
        {"PacketFilter": {}},
        {"DNSConfig": {"Routes": {"x": None}}},
    ],
)
def test_wrongly_typed_values_are_refused(wire: object) -> None:
    with pytest.raises(WireError):
        MapResponse.from_json(wire)


def test_error_names_the_place_and_not_the_value() -> None:
    with pytest.raises(WireError) as caught:
        RegisterRequest.from_json({"NodeKey": "privkey:" + "ab" * 32})
    assert "RegisterRequest.NodeKey" in str(caught.value)
    assert "abab" not in str(caught.value)


def test_auth_key_is_not_shown() -> None:
    request = RegisterRequest(auth=RegisterAuth(auth_key="hskey-auth-secret"))
    assert "secret" not in repr(request)


def test_numbered_maps_have_text_keys() -> None:
    assert MapResponse(online_change={7: True}).to_json() == {"OnlineChange": {"7": True}}
    assert MapResponse.from_json({"OnlineChange": {"7": True}}).online_change == {7: True}


def test_patch_distinguishes_no_endpoints_from_unchanged() -> None:
    assert PeerChange.from_json({"NodeID": 1}).endpoints is None
    assert PeerChange.from_json({"NodeID": 1, "Endpoints": []}).endpoints == ()


def test_zero_fields_read_as_their_zero() -> None:
    assert UserProfile.from_json({}) == UserProfile(id=0, login_name="", display_name="")
