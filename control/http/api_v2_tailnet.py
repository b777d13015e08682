"""API v2: users, and settings of the tailnet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from control.errors import InvalidRequestError, NotFoundError
from control.http import api_v2_shapes as shapes
from control.http.api_table import Call, Endpoint
from control.operations.users import the_user

if TYPE_CHECKING:
    from control.app import ControlServer

__all__ = ["TailnetEndpoints"]

_CONFIGURED_BY: Final = {
    "aclsExternallyManagedOn": "policy.mode",
    "devicesKeyDurationDays": "node.expiry",
}
"""Where a setting is made that this server has."""


class TailnetEndpoints:
    """Endpoints of users and settings."""

    def __init__(self, server: ControlServer) -> None:
        self._server = server
        self._ledger = server.ledger
        self._domain = server.config.dns.base_domain.strip(".")

    def table(self) -> tuple[Endpoint, ...]:
        """Return the endpoints."""
        settings, scope = "/api/v2/tailnet/{tailnet}/settings", "feature_settings"
        return (
            Endpoint(
                "GET",
                "/api/v2/tailnet/{tailnet}/users",
                "List users",
                self._list_users,
                None,
                ("role",),
                "users:read",
            ),
            Endpoint(
                "GET", "/api/v2/users/{id}", "Show a user", self._show_user, scope="users:read"
            ),
            Endpoint(
                "GET", settings, "Show the settings", self._get_settings, scope=f"{scope}:read"
            ),
            Endpoint(
                "PATCH",
                settings,
                "Change settings",
                self._patch_settings,
                shapes.SettingsBody,
                scope=scope,
            ),
        )

    async def _list_users(self, call: Call) -> Any:
        role = call.text("role")
        tailnet = self._ledger.tailnet
        found = [user for user in tailnet.users if role in {"", "all", user.role.value}]
        return {"users": [shapes.user_json(user, tailnet, domain=self._domain) for user in found]}

    async def _show_user(self, call: Call) -> Any:
        text = call.text("id")
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise NotFoundError(f"there is no user {text!r}")
        user = the_user(self._ledger, int(text))
        return shapes.user_json(user, self._ledger.tailnet, domain=self._domain)

    async def _get_settings(self, _call: Call) -> Any:
        return self._settings()

    def _settings(self) -> dict[str, Any]:
        config = self._server.config
        return {
            "aclsExternallyManagedOn": config.policy.mode == "file",
            "aclsExternalLink": "",
            "devicesApprovalOn": self._approval_is_on(),
            "devicesAutoUpdatesOn": False,
            "devicesKeyDurationDays": config.node.expiry.days,
            "usersApprovalOn": False,
            "usersRoleAllowedToJoinExternalTailnets": "none",
            "networkFlowLoggingOn": False,
            "regionalRoutingOn": False,
            "postureIdentityCollectionOn": False,
            "httpsEnabled": False,
        }

    def _approval_is_on(self) -> bool:
        made = self._ledger.tailnet.settings.devices_approval_on
        return self._server.config.node.approval_required if made is None else made

    async def _set_approval(self, actor: str, *, is_on: bool) -> None:
        before = self._ledger.tailnet.settings
        async with self._ledger.transaction(actor) as transaction:
            await transaction.save_settings(replace(before, devices_approval_on=is_on), before)
            await transaction.audit("settings.change", "tailnet", devicesApprovalOn=is_on)

    async def _patch_settings(self, call: Call) -> Any:
        """Set what is kept here; say of the rest where it is set, or that it is not here."""
        current = self._settings()
        wanted = call.body.model_dump()
        approval = wanted.pop("devicesApprovalOn", current["devicesApprovalOn"])
        if not isinstance(approval, bool):
            raise InvalidRequestError("devicesApprovalOn: true or false")
        for name, value in wanted.items():
            if name not in current:
                raise InvalidRequestError(f"there is no setting {name!r}")
            if value == current[name]:
                continue
            key = _CONFIGURED_BY.get(name)
            raise InvalidRequestError(
                f"{name} is set in the server's configuration file: {key}"
                if key
                else f"{name} cannot be {value!r}: this server does not have what it switches"
            )
        if approval != current["devicesApprovalOn"]:
            await self._set_approval(call.actor, is_on=approval)
        return self._settings()
