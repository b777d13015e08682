"""API v1: logins that wait for an administrator, of nodes and of SSH sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from control.errors import InvalidRequestError, NotFoundError
from control.http import api_shapes as shapes
from control.http.api_table import Call, Endpoint
from control.identity.enrolment import Admission
from control.identity.logins import Login, Outcome
from control.operations.debug import imagine_login
from control.operations.users import user_called
from control.store.records import RegisterMethod

if TYPE_CHECKING:
    from control.app import ControlServer

__all__ = ["LoginEndpoints"]


class LoginEndpoints:
    """Endpoints under `/api/v1/auth`, and the older ones for the same."""

    def __init__(self, server: ControlServer) -> None:
        self._server = server
        self._ledger = server.ledger

    def table(self) -> tuple[Endpoint, ...]:
        """Return the endpoints."""
        auth = "/api/v1/auth"
        return (
            Endpoint(
                "POST",
                f"{auth}/register",
                "Let a waiting node in for a user",
                self._register,
                shapes.AuthRegisterBody,
            ),
            Endpoint(
                "POST",
                f"{auth}/approve",
                "Let a waiting SSH session in",
                self._approve,
                shapes.AuthBody,
            ),
            Endpoint(
                "POST",
                f"{auth}/reject",
                "Turn a waiting node or SSH session away",
                self._reject,
                shapes.AuthBody,
            ),
            Endpoint(
                "POST",
                "/api/v1/node/register",
                "Let a waiting node in for a user (older form)",
                self._register_older,
                None,
                ("user", "key"),
            ),
            Endpoint(
                "POST",
                "/api/v1/debug/node",
                "Make a login that waits as if a node had asked",
                self._debug_node,
                shapes.DebugNodeBody,
            ),
        )

    async def _register(self, call: Call) -> Any:
        body: shapes.AuthRegisterBody = call.body
        return await self._let_in(body.user, body.auth_id)

    async def _register_older(self, call: Call) -> Any:
        return await self._let_in(call.text("user"), call.text("key"))

    async def _let_in(self, user: str, auth_id: str) -> Any:
        admission = Admission(user=user_called(self._ledger, user), method=RegisterMethod.CLI)
        node = await self._server.registrar.admit(self._login(auth_id), admission)
        return {"node": shapes.node_json(node, self._ledger.tailnet)}

    async def _approve(self, call: Call) -> Any:
        auth_id = call.body.auth_id
        if self._server.logins.find(auth_id) is not None:
            raise InvalidRequestError(
                "this is the login of a node, which needs an owner: auth register --user USER"
            )
        await self._server.ssh_checks.decide(auth_id, call.actor, is_approved=True)
        return {}

    async def _reject(self, call: Call) -> Any:
        login = self._server.logins.find(call.body.auth_id)
        if login is not None:
            login.decide(Outcome(error="an administrator said no"))
        else:
            await self._server.ssh_checks.decide(call.body.auth_id, call.actor, is_approved=False)
        return {}

    async def _debug_node(self, call: Call) -> Any:
        body: shapes.DebugNodeBody = call.body
        owner = user_called(self._ledger, body.user)
        login = imagine_login(self._server.logins, body.name, body.key, tuple(body.routes))
        return {"authId": login.id, "user": shapes.user_json(owner), "name": body.name}

    def _login(self, auth_id: str) -> Login:
        login = self._server.logins.find(auth_id)
        if login is None:
            raise NotFoundError("no login with this ID waits; it may have run out: log in again")
        return login
