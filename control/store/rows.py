"""Adapters between rows and records; a test walks every field of every record through both."""

from __future__ import annotations

from dataclasses import fields
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import TYPE_CHECKING, Any

from control.keys import DiscoPublic, LockPublic, MachinePublic, NodePublic
from control.store.records import (
    ApiKeyRecord,
    AuditEntry,
    AuthKeyRecord,
    NodeRecord,
    PolicyVersion,
    RegisterMethod,
    Role,
    UserRecord,
)
from control.wire import Hostinfo, parse_addr_port

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "api_key_of_row",
    "audit_entry_of_row",
    "auth_key_of_row",
    "node_of_row",
    "node_to_row",
    "policy_version_of_row",
    "user_of_row",
    "user_to_row",
]

Row = dict[str, Any]


def _texts(values: Any) -> list[str]:
    return [str(value) for value in values]


def _optional(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else convert(value)


_NODE_FROM: dict[str, Callable[[Any], Any]] = {
    "machine_key": MachinePublic.from_text,
    "node_key": NodePublic.from_text,
    "disco_key": DiscoPublic.from_text,
    "nl_key": LockPublic.from_text,
    "register_method": RegisterMethod,
    "ipv4": _optional(IPv4Address),
    "ipv6": _optional(IPv6Address),
    "tags": tuple,
    "approved_routes": lambda texts: tuple(map(ip_network, texts)),
    "policy_routes": lambda texts: tuple(map(ip_network, texts)),
    "hostinfo": Hostinfo,
    "endpoints": lambda texts: tuple(map(parse_addr_port, texts)),
}
_NODE_TO: dict[str, Callable[[Any], Any]] = {
    "machine_key": str,
    "node_key": str,
    "disco_key": str,
    "nl_key": str,
    "register_method": lambda method: method.value,
    "ipv4": _optional(str),
    "ipv6": _optional(str),
    "tags": list,
    "approved_routes": _texts,
    "policy_routes": _texts,
    "hostinfo": lambda hostinfo: dict(hostinfo.raw),
    "endpoints": _texts,
}
_USER_FROM: dict[str, Callable[[Any], Any]] = {"role": Role, "groups": tuple}
_USER_TO: dict[str, Callable[[Any], Any]] = {"role": lambda role: role.value, "groups": list}


def _converted(row: Mapping[str, Any], how: dict[str, Callable[[Any], Any]]) -> Row:
    return {name: how[name](value) if name in how else value for name, value in row.items()}


def _columns(record: Any) -> Row:
    return {item.name: getattr(record, item.name) for item in fields(record)}


def node_of_row(row: Mapping[str, Any]) -> NodeRecord:
    """Return the node of a row of `nodes`."""
    return NodeRecord(**_converted(row, _NODE_FROM))


def node_to_row(node: NodeRecord) -> Row:
    """Return every column of a node."""
    return _converted(_columns(node), _NODE_TO)


def user_of_row(row: Mapping[str, Any]) -> UserRecord:
    """Return the user of a row of `users`."""
    return UserRecord(**_converted(row, _USER_FROM))


def user_to_row(user: UserRecord) -> Row:
    """Return every column of a user."""
    return _converted(_columns(user), _USER_TO)


def auth_key_of_row(row: Mapping[str, Any]) -> AuthKeyRecord:
    """Return the auth key of a row of `auth_keys`."""
    return AuthKeyRecord(**_converted(row, {"tags": tuple}))


def api_key_of_row(row: Mapping[str, Any]) -> ApiKeyRecord:
    """Return the API key of a row of `api_keys`."""
    return ApiKeyRecord(**row)


def policy_version_of_row(row: Mapping[str, Any]) -> PolicyVersion:
    """Return the version of a row of `policy_versions`."""
    return PolicyVersion(**row)


def audit_entry_of_row(row: Mapping[str, Any]) -> AuditEntry:
    """Return the entry of a row of `audit_log`."""
    return AuditEntry(**row)
