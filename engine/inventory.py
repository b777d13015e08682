"""Inventory files: users and devices in the shape of the service's public API.

`{"users": [...], "devices": [...]}` with optional `domains` and `tailnetSettings`; unknown keys
are ignored, so that an answer of the API can be used as it comes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from engine.directory import Directory, DirectoryNode, DirectoryUser, Route, Settings
from engine.netset.address import V4, Address, AddressError
from engine.netset.prefix import Prefix
from engine.netset.ranges import AddressRange
from engine.rules import EngineError

__all__ = ["InventoryError", "read_inventory"]


class InventoryError(EngineError):
    """An inventory that cannot be used; the message says which entry and why."""


def _none_is_empty(value: object) -> object:
    return [] if value is None else value


_Strings = Annotated[list[str], BeforeValidator(_none_is_empty), Field(default_factory=list)]


class _Lenient(BaseModel):
    model_config = ConfigDict(
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
        coerce_numbers_to_str=True,
    )


class _User(_Lenient):
    id: str = ""
    login_name: str
    display_name: str = ""
    role: str = "member"
    groups: _Strings


class _Device(_Lenient):
    id: str = ""
    hostname: str
    addresses: _Strings
    user: str | None = None
    tags: _Strings
    advertised_routes: _Strings
    enabled_routes: _Strings
    created: str | None = None
    connected_to_control: bool | None = None
    online: bool | None = None
    os: str = ""
    client_version: str = ""
    posture_attributes: dict[str, str | int | float | bool] = Field(
        default_factory=dict, alias="postureAttributes"
    )
    attributes: dict[str, Any] = Field(default_factory=dict)


class _TailnetSettings(_Lenient):
    model_config = ConfigDict(extra="ignore", alias_generator=None)
    devices_auto_updates_on: bool | None = None
    https_enabled: bool = False


class _Inventory(_Lenient):
    users: list[_User] = Field(default_factory=list)
    devices: list[_Device] = Field(default_factory=list)
    domains: list[str] | None = None
    tailnet: str | None = None
    services: dict[str, list[str]] = Field(default_factory=dict)
    tailnet_settings: _TailnetSettings = Field(default_factory=_TailnetSettings)


def read_inventory(data: bytes | str) -> Directory:
    """Read an inventory. Raises InventoryError with every problem pydantic finds."""
    try:
        inventory = _Inventory.model_validate_json(data)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(step) for step in item['loc']) or 'inventory'}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False)[:5]
        ]
        raise InventoryError("; ".join(problems)) from None
    return _directory(inventory)


def _directory(inventory: _Inventory) -> Directory:
    users = tuple(
        DirectoryUser(
            user.id, user.login_name, user.display_name, user.role, frozenset(user.groups)
        )
        for user in inventory.users
    )
    names = _distinct_names([device.hostname for device in inventory.devices])
    nodes = tuple(
        _node(index, device, name)
        for index, (device, name) in enumerate(zip(inventory.devices, names, strict=True))
    )
    _refuse_shared_addresses(nodes)
    settings = Settings(
        name=inventory.tailnet,
        domains=None if inventory.domains is None else frozenset(inventory.domains),
        auto_update=inventory.tailnet_settings.devices_auto_updates_on,
        https_certificates=inventory.tailnet_settings.https_enabled,
        services={
            name: tuple(_address(text, f"service {name}") for text in texts)
            for name, texts in inventory.services.items()
        },
    )
    return Directory(users, nodes, settings)


def _distinct_names(hostnames: list[str]) -> list[str]:
    """Tell devices of one host name apart as MagicDNS does: the later ones get a number."""
    taken = set(hostnames)
    seen: set[str] = set()
    names = []
    for hostname in hostnames:
        name, number = hostname, 0
        while name in seen or (number and name in taken):
            number += 1
            name = f"{hostname}-{number}"
        seen.add(name)
        names.append(name)
    return names


def _node(index: int, device: _Device, name: str) -> DirectoryNode:
    where = f"device {device.hostname!r}"
    addresses = [_address(text, where) for text in device.addresses]
    enabled = set(device.enabled_routes)
    effective = [text for text in device.advertised_routes if text in enabled]
    prefixes = {text: _prefix(text, where) for text in device.advertised_routes}
    return DirectoryNode(
        index=index,
        id=device.id or str(index + 1),
        hostname=name,
        ipv4=next((a for a in addresses if a.version == V4), None),
        ipv6=next((a for a in addresses if a.version != V4), None),
        # A tagged device belongs to nobody, even where its creator is still named.
        user=(device.user or None) if not device.tags else None,
        tags=tuple(device.tags),
        routes=tuple(_route(prefixes[text]) for text in effective if prefixes[text].length),
        exit_routes=tuple(str(prefixes[text]) for text in effective if not prefixes[text].length),
        advertised=tuple(prefixes.values()),
        created=_instant(device.created or "", where),
        online=_is_online(device),
        attributes=_attributes(device),
    )


def _route(prefix: Prefix) -> Route:
    return Route(str(prefix), AddressRange(prefix.version, prefix.base, prefix.last))


def _is_online(device: _Device) -> bool:
    for known in (device.online, device.connected_to_control):
        if known is not None:
            return known
    return True


def _attributes(device: _Device) -> dict[str, str | int | float | bool]:
    attributes: dict[str, str | int | float | bool] = {}
    if device.os:
        attributes["node:os"] = device.os.lower()
    if device.client_version:
        attributes["node:tsVersion"] = device.client_version.split("-")[0]
    scalars = {
        n: v for n, v in device.attributes.items() if isinstance(v, str | int | float | bool)
    }
    return attributes | scalars | device.posture_attributes


def _address(text: str, where: str) -> Address:
    try:
        return Address.parse(text.partition("/")[0])
    except AddressError as error:
        raise InventoryError(f"{where}: {error}") from None


def _prefix(text: str, where: str) -> Prefix:
    try:
        return Prefix.parse(text)
    except AddressError as error:
        raise InventoryError(f"{where}: {error}") from None


def _instant(text: str, where: str) -> str:
    """Bring a time to a form that sorts as text; nanoseconds are kept."""
    if not text:
        return ""
    head, dot, tail = text.partition(".")
    digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
    zone = tail[len(digits) :] if dot else ""
    try:
        moment = datetime.fromisoformat(head + zone)
    except ValueError:
        raise InventoryError(
            f"{where}: {text!r} is not a time such as 2026-01-31T12:00:00Z"
        ) from None
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{digits[:9]:0<9}"


def _refuse_shared_addresses(nodes: tuple[DirectoryNode, ...]) -> None:
    owners: dict[Address, DirectoryNode] = {}
    for node in nodes:
        for address in node.addresses:
            other = owners.setdefault(address, node)
            if other is not node:
                raise InventoryError(
                    f"devices {other.hostname!r} and {node.hostname!r} share the address {address}"
                )
