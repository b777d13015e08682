"""The schema of an inventory: users and devices, in the shape of the service's public API."""

from __future__ import annotations

from policy.schema.parts import Schema, document

__all__ = ["inventory_schema"]

_DESCRIPTION = (
    "The users and devices of a tailnet. Keys that are not listed here are ignored, so that what"
    " the API answers can be used as it comes."
)
_TEXT: Schema = {"type": "string"}
_TEXTS: Schema = {"type": ["array", "null"], "items": _TEXT}
_ID: Schema = {"type": ["string", "integer"]}
_FLAG: Schema = {"type": ["boolean", "null"]}


def inventory_schema() -> Schema:
    """Return the schema of what `--inventory` takes."""
    root = {
        "type": "object",
        "properties": {
            "users": {"description": "Users, the owner first.", **_list("user")},
            "devices": {"description": "Devices, in the order of the tailnet.", **_list("device")},
            "domains": {
                "description": "Mail domains of the tailnet; else that of the first user.",
                **_TEXTS,
            },
            "tailnet": {"description": "Display name.", "type": ["string", "null"]},
            "services": {
                "description": "Virtual addresses of each `svc:` name.",
                "type": "object",
                "additionalProperties": {"type": "array", "items": _TEXT},
            },
            "tailnetSettings": {
                "type": "object",
                "properties": {
                    "devices_auto_updates_on": _FLAG,
                    "https_enabled": {"type": "boolean"},
                },
            },
        },
    }
    return document("Inventory", _DESCRIPTION, root, {"user": _user(), "device": _device()})


def _list(definition: str) -> Schema:
    return {"type": "array", "items": {"$ref": f"#/$defs/{definition}"}}


def _user() -> Schema:
    return {
        "title": "User",
        "type": "object",
        "required": ["loginName"],
        "properties": {
            "id": _ID,
            "loginName": {"description": "The login that policies use.", **_TEXT},
            "displayName": _TEXT,
            "role": {
                "description": "Which role autogroup the user is in.",
                **_TEXT,
                "examples": [
                    "owner",
                    "admin",
                    "it-admin",
                    "network-admin",
                    "billing-admin",
                    "auditor",
                    "member",
                ],
            },
            "groups": {"description": "Groups of the identity provider.", **_TEXTS},
        },
    }


def _device() -> Schema:
    attributes = {
        "description": "Device attributes, such as `node:os`.",
        "type": "object",
        "additionalProperties": {"type": ["string", "number", "boolean"]},
    }
    return {
        "title": "Device",
        "type": "object",
        "required": ["hostname"],
        "properties": {
            "id": _ID,
            "hostname": _TEXT,
            "addresses": {"description": "IPv4 and IPv6 address.", **_TEXTS},
            "user": {"description": "Login of the owner.", "type": ["string", "null"]},
            "tags": {"description": "A tagged device has no owner.", **_TEXTS},
            "advertisedRoutes": _TEXTS,
            "enabledRoutes": {"description": "Those that are approved.", **_TEXTS},
            "created": {"description": "RFC 3339.", "type": ["string", "null"]},
            "online": _FLAG,
            "connectedToControl": _FLAG,
            "os": _TEXT,
            "clientVersion": _TEXT,
            "postureAttributes": attributes,
            "attributes": {"type": "object"},
        },
    }
