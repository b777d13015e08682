"""API v2: devices."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from control.errors import InvalidRequestError, NotFoundError
from control.http import api_v2_shapes as shapes
from control.http.api_table import Call, Endpoint
from control.operations import nodes

if TYPE_CHECKING:
    from control.app import ControlServer
    from control.store.records import NodeRecord

__all__ = ["DeviceEndpoints"]


class DeviceEndpoints:
    """Endpoints under `/api/v2/device` and the list of devices."""

    def __init__(self, server: ControlServer) -> None:
        self._server = server
        self._ledger = server.ledger
        self._domain = server.config.dns.base_domain.strip(".")

    def table(self) -> tuple[Endpoint, ...]:
        """Return the endpoints."""
        device, core, routes = "/api/v2/device/{id}", "devices:core", "devices:routes"
        fields = ("fields",)
        return (
            Endpoint(
                "GET",
                "/api/v2/tailnet/{tailnet}/devices",
                "List devices",
                self._list,
                None,
                fields,
                f"{core}:read",
            ),
            Endpoint("GET", device, "Show a device", self._show, None, fields, f"{core}:read"),
            Endpoint("DELETE", device, "Delete a device", self._delete, scope=core),
            Endpoint(
                "POST",
                f"{device}/authorized",
                "Approve a device",
                self._authorize,
                shapes.AuthorizedBody,
                scope=core,
            ),
            Endpoint(
                "POST",
                f"{device}/name",
                "Rename a device",
                self._rename,
                shapes.DeviceNameBody,
                scope=core,
            ),
            Endpoint(
                "POST", f"{device}/tags", "Set tags", self._tag, shapes.DeviceTagsBody, scope=core
            ),
            Endpoint(
                "POST",
                f"{device}/key",
                "Switch the expiry of a device's key off or on",
                self._set_key,
                shapes.DeviceKeyBody,
                scope=core,
            ),
            Endpoint("POST", f"{device}/expire", "Expire a device's key", self._expire, scope=core),
            Endpoint(
                "POST",
                f"{device}/routes",
                "Approve exactly these routes",
                self._approve_routes,
                shapes.DeviceRoutesBody,
                scope=routes,
            ),
            Endpoint(
                "GET", f"{device}/routes", "Show routes", self._show_routes, scope=f"{routes}:read"
            ),
        )

    def _node(self, call: Call) -> NodeRecord:
        text = call.text("id")
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise NotFoundError(f"there is no device {text!r}")
        return nodes.the_node(self._ledger, int(text))

    def _spell(self, node: NodeRecord, call: Call) -> dict[str, Any]:
        return shapes.device_json(
            node,
            self._ledger.tailnet,
            domain=self._domain,
            with_all=call.text("fields") == "all",
        )

    async def _list(self, call: Call) -> Any:
        return {"devices": [self._spell(node, call) for node in self._ledger.tailnet.nodes]}

    async def _show(self, call: Call) -> Any:
        return self._spell(self._node(call), call)

    async def _delete(self, call: Call) -> Any:
        node = self._node(call)
        await nodes.delete_node(self._ledger, self._server.registrar, call.actor, node.id)
        return {}

    async def _authorize(self, call: Call) -> Any:
        node = self._node(call)
        if not call.body.authorized:
            raise InvalidRequestError("a device is kept out by deleting it or expiring its key")
        await nodes.approve_node(self._ledger, call.actor, node.id)
        return {}

    async def _rename(self, call: Call) -> Any:
        # Tools give the whole name or its first label.
        name = call.body.name.strip().removesuffix(".").removesuffix(f".{self._domain}")
        node = self._node(call)
        await nodes.rename_node(self._ledger, call.actor, node.id, name, domain=self._domain)
        return {}

    async def _tag(self, call: Call) -> Any:
        node, tags = self._node(call), tuple(call.body.tags)
        await nodes.tag_node(self._ledger, self._server.keeper, call.actor, node.id, tags)
        return {}

    async def _set_key(self, call: Call) -> Any:
        node = self._node(call)
        life = self._server.config.node.expiry
        ends = None
        if not call.body.key_expiry_disabled and life and not node.tags:
            ends = self._ledger.now() + life
        await nodes.expire_node(self._ledger, call.actor, node.id, ends)
        return {}

    async def _expire(self, call: Call) -> Any:
        node = self._node(call)
        await nodes.expire_node(self._ledger, call.actor, node.id, self._ledger.now())
        return {}

    async def _approve_routes(self, call: Call) -> Any:
        node = self._node(call)
        try:
            routes = tuple(ip_network(text) for text in call.body.routes)
        except ValueError as error:
            raise InvalidRequestError(f"routes: {error}") from None
        changed = await nodes.approve_routes(self._ledger, call.actor, node.id, routes)
        return shapes.routes_json(changed)

    async def _show_routes(self, call: Call) -> Any:
        return shapes.routes_json(self._node(call))
