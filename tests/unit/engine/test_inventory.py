from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from engine.inventory import InventoryError, read_inventory
from tests.support.small_tailnet import ADA, device, v4, v6

if TYPE_CHECKING:
    from engine.directory import DirectoryNode


def node(**fields: Any) -> DirectoryNode:
    """Read one device."""
    [found] = read_inventory(json.dumps({"devices": [device("x", 5, **fields)]})).nodes
    return found


def test_unknown_keys_are_ignored() -> None:
    assert node(user=ADA, blocksIncomingConnections=True, sshEnabled={"a": 1}).user == ADA


def test_a_tagged_device_loses_the_creator_that_is_still_named() -> None:
    found = node(user=ADA, tags=["tag:shop"])
    assert (found.user, found.tags) == (None, ("tag:shop",))


def test_addresses_are_told_apart_by_version_in_any_order() -> None:
    found = node(addresses=[v6(5), v4(5)])
    assert [str(a) for a in found.addresses] == [v4(5), v6(5)]


def test_addresses_may_carry_a_length() -> None:
    assert str(node(addresses=[f"{v4(5)}/32"]).ipv4) == v4(5)


def test_a_device_may_have_one_version_only() -> None:
    found = node(addresses=[v6(5)])
    assert (found.ipv4, len(found.addresses)) == (None, 1)


def test_a_route_takes_effect_when_advertised_and_approved() -> None:
    found = node(
        advertisedRoutes=["10.1.0.0/16", "10.2.0.0/16"],
        enabledRoutes=["10.2.0.0/16", "10.3.0.0/16"],
    )
    assert [route.text for route in found.routes] == ["10.2.0.0/16"]
    assert [str(prefix) for prefix in found.advertised] == ["10.1.0.0/16", "10.2.0.0/16"]


def test_exit_routes_are_kept_apart_from_subnets() -> None:
    both = ["0.0.0.0/0", "10.1.0.0/16", "::/0"]
    found = node(advertisedRoutes=both, enabledRoutes=both)
    assert found.exit_routes == ("0.0.0.0/0", "::/0")
    assert [route.text for route in found.routes] == ["10.1.0.0/16"]


def test_null_lists_are_empty() -> None:
    found = node(tags=None, advertisedRoutes=None, enabledRoutes=None)
    assert (found.tags, found.routes, found.exit_routes) == ((), (), ())


def test_a_device_is_online_unless_said_otherwise() -> None:
    assert node().online
    assert not node(connectedToControl=False).online
    assert node(connectedToControl=False, online=True).online


def test_posture_attributes_come_from_the_system_and_the_client() -> None:
    found = node(os="macOS", clientVersion="1.80.2-t1234", postureAttributes={"custom:tier": 1})
    assert found.attributes == {"node:os": "macos", "node:tsVersion": "1.80.2", "custom:tier": 1}


def test_set_posture_attributes_win() -> None:
    assert node(os="linux", postureAttributes={"node:os": "macos"}).attributes == {
        "node:os": "macos"
    }


def test_times_sort_by_instant_as_text() -> None:
    earlier = node(created="2026-02-01T10:00:00.5+02:00").created
    later = node(created="2026-02-01T09:00:00Z").created
    assert earlier == "2026-02-01T08:00:00.500000000"
    assert earlier < later


def test_numbers_will_do_as_identifiers() -> None:
    assert node(id=17).id == "17"


def test_devices_without_identifiers_are_numbered() -> None:
    assert node(id="").id == "1"


def test_services_have_addresses() -> None:
    found = read_inventory(json.dumps({"services": {"svc:print": [v4(200)]}}))
    assert [str(a) for a in found.settings.services["svc:print"]] == [v4(200)]


def test_settings_of_the_tailnet_are_read() -> None:
    text = json.dumps(
        {
            "tailnet": "mesh",
            "domains": ["mesh.test"],
            "tailnetSettings": {"devices_auto_updates_on": True, "https_enabled": True},
        }
    )
    settings = read_inventory(text).settings
    assert (settings.name, settings.domains) == ("mesh", frozenset({"mesh.test"}))
    assert (settings.auto_update, settings.https_certificates) == (True, True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "inventory: Input should be an object"),
        ("{", "Invalid JSON"),
        ('{"devices": [{}]}', "devices.0.hostname: Field required"),
        ('{"users": [{"id": "1"}]}', "users.0.loginName: Field required"),
    ],
)
def test_a_text_of_another_shape_is_refused(text: str, words: str) -> None:
    with pytest.raises(InventoryError, match=words):
        read_inventory(text)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"addresses": ["100.70.0"]}, r"device 'x': .*100\.70\.0"),
        ({"advertisedRoutes": ["10.0.0.0/33"]}, r"device 'x': .*10\.0\.0\.0/33"),
        ({"created": "yesterday"}, "device 'x': 'yesterday' is not a time"),
    ],
)
def test_a_value_that_cannot_be_read_is_named_with_its_device(
    fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(InventoryError, match=words):
        node(**fields)


def test_no_two_devices_share_an_address() -> None:
    devices = [device("one", 5), device("two", 6, addresses=[v4(5)])]
    with pytest.raises(InventoryError, match=r"devices 'one' and 'two' share the address"):
        read_inventory(json.dumps({"devices": devices}))


def test_devices_of_one_host_name_are_told_apart() -> None:
    names = ["web", "web", "web-1", "web"]
    devices = [
        {"hostname": name, "addresses": [f"100.64.0.{number}"]}
        for number, name in enumerate(names, 1)
    ]
    found = read_inventory(json.dumps({"devices": devices}))
    assert [node.hostname for node in found.nodes] == ["web", "web-2", "web-1", "web-3"]
