"""API v1: the policy in force, its versions, and what a change of it would mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from control.http import api_shapes as shapes
from control.http.api_table import Call, Endpoint
from control.policies.in_force import PolicyRefusedError

if TYPE_CHECKING:
    from control.app import ControlServer

__all__ = ["PolicyEndpoints"]


class PolicyEndpoints:
    """Endpoints under `/api/v1/policy`."""

    def __init__(self, server: ControlServer) -> None:
        self._keeper = server.keeper

    def table(self) -> tuple[Endpoint, ...]:
        """Return the endpoints."""
        policy = "/api/v1/policy"
        return (
            Endpoint("GET", policy, "Show the policy in force", self._get),
            Endpoint("PUT", policy, "Put a policy in force", self._put, shapes.SetPolicyBody),
            Endpoint(
                "POST",
                f"{policy}/check",
                "Check a policy, tests included",
                self._check,
                shapes.SetPolicyBody,
            ),
            Endpoint(
                "POST",
                f"{policy}/diff",
                "Say what access a policy would add and remove",
                self._diff,
                shapes.DiffPolicyBody,
            ),
            Endpoint("GET", f"{policy}/history", "List versions", self._history),
            Endpoint("GET", f"{policy}/version/{{id}}", "Show a version", self._version),
            Endpoint(
                "POST",
                f"{policy}/rollback",
                "Put an earlier version in force again",
                self._roll_back,
                shapes.RollbackBody,
            ),
        )

    async def _get(self, _call: Call) -> Any:
        in_force = self._keeper.in_force
        body = {
            "policy": in_force.text,
            "version": in_force.version,
            "warning": in_force.warning,
            "failingTests": list(self._keeper.failing_tests),
            "pendingTests": list(self._keeper.pending_tests),
        }
        return web.json_response(body, headers={"ETag": in_force.etag})

    async def _put(self, call: Call) -> Any:
        body: shapes.SetPolicyBody = call.body
        in_force = await self._keeper.set(
            body.policy,
            call.actor,
            if_match=call.request.headers.get("If-Match"),
            may_wait=body.pending_tests,
        )
        shown = {
            "policy": in_force.text,
            "version": in_force.version,
            "pendingTests": list(self._keeper.pending_tests),
        }
        return web.json_response(shown, headers={"ETag": in_force.etag})

    async def _check(self, call: Call) -> Any:
        body: shapes.SetPolicyBody = call.body
        checked = await self._keeper.check(body.policy, may_wait=body.pending_tests)
        if checked.policy is None:
            raise PolicyRefusedError(checked)
        return {
            "warnings": list(checked.warnings),
            "pendingTests": [error for test in checked.waiting for error in test.errors],
        }

    async def _diff(self, call: Call) -> Any:
        body: shapes.DiffPolicyBody = call.body
        return await self._keeper.compare(body.policy, body.version)

    async def _history(self, _call: Call) -> Any:
        history = await self._keeper.history()
        return {"versions": [shapes.policy_version_json(version) for version in history]}

    async def _version(self, call: Call) -> Any:
        version = await self._keeper.version(call.number("id"))
        return {**shapes.policy_version_json(version), "policy": version.text}

    async def _roll_back(self, call: Call) -> Any:
        in_force = await self._keeper.roll_back(call.body.version, call.actor)
        return {"policy": in_force.text, "version": in_force.version}
