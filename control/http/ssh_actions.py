"""`/machine/ssh/action/SRC/to/DST`: what becomes of an SSH session in check mode.

The destination asks, over its own connection, and holds the session meanwhile (control reference
5.4). It is told to accept, to reject, or to show a text and ask again under the ID of a check,
which is then held until somebody decides.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlencode

from control.channel.responses import ChannelResponse
from control.identity.ssh_checks import SshPair
from control.wire.framing import dump_json
from engine.testing.ssh import maps_account

if TYPE_CHECKING:
    from control.channel.responses import ChannelRequest
    from control.identity.ssh_checks import SshCheck, SshChecks
    from control.mapper.atlas import Atlas
    from control.registry.tailnet import Tailnet
    from control.store.records import NodeRecord
    from engine.compile.ssh import SshPolicyRule

__all__ = ["SSH_ACTION", "SshActions"]

SSH_ACTION: Final = "/machine/ssh/action/"
_PATH: Final = re.compile(r"/machine/ssh/action/([0-9]{1,18})/to/([0-9]{1,18})", re.ASCII)
_DEFAULT_PERIOD_S: Final = 12 * 3600.0
_MAX_ACCOUNT: Final = 256
_UNKNOWN: Final = ChannelResponse.text(404, "node not found")


class _Session(NamedTuple):
    """What is asked about."""

    source: NodeRecord
    destination: NodeRecord
    account: str


class SshActions:
    """Answers destinations; a node may ask about sessions that come to it, and no others."""

    def __init__(
        self, *, tailnet: Tailnet, atlas: Atlas, checks: SshChecks, page_url_prefix: str
    ) -> None:
        self._tailnet = tailnet
        self._atlas = atlas
        self._checks = checks
        self._page_url_prefix = page_url_prefix

    async def answer(self, request: ChannelRequest) -> ChannelResponse:
        """Answer a request; may take as long as a person takes."""
        match = _PATH.fullmatch(request.path)
        account = request.query.get("local_user", "")
        if match is None or not 0 < len(account) <= _MAX_ACCOUNT:
            return ChannelResponse.text(404, "not found")
        source, destination = (self._tailnet.node(int(number)) for number in match.groups())
        if destination is None or destination.machine_key != request.machine or source is None:
            return _UNKNOWN
        session = _Session(source, destination, account)
        action = await self._decide(session, request.query.get("auth_id", ""))
        return ChannelResponse(200, dump_json(action))

    async def _decide(self, session: _Session, auth_id: str) -> dict[str, Any]:
        rule = self._rule_of(session)
        if rule is None:
            return _reject("the policy does not let you in any more")
        if not rule.check:
            return _accept(rule)
        if session.source.user_id is None:
            return _reject("a tagged device has nobody who could be asked")
        pair = SshPair(session.source.id, session.source.user_id, session.destination.id)
        if self._checks.is_fresh(pair, _period_s(rule)):
            return _accept(rule)
        check = self._checks.find(auth_id)
        if check is None or check.pair != pair or check.account != session.account:
            return self._delegate(session, self._checks.start(pair, session.account))
        outcome = await self._checks.outcome(check)
        # The policy may have changed while the session was held.
        rule = self._rule_of(session)
        if outcome is False or rule is None:
            return _reject("access was refused")
        if outcome is None:
            return self._delegate(session, self._checks.start(pair, session.account))
        return _accept(rule)

    def _rule_of(self, session: _Session) -> SshPolicyRule | None:
        """Return the rule that decides: the first one that speaks of the source and the account."""
        ids = session.source.id, session.destination.id
        if not all(self._atlas.takes_part(number) for number in ids):
            return None
        addresses = {str(ip) for ip in session.source.addresses}
        return next(
            (
                rule
                for rule in self._atlas.network.ssh_policy(session.destination.id)
                if not addresses.isdisjoint(rule.principals) and maps_account(rule, session.account)
            ),
            None,
        )

    def _delegate(self, session: _Session, check: SshCheck) -> dict[str, Any]:
        query = urlencode({"local_user": session.account, "auth_id": check.id})
        path = f"{SSH_ACTION}{session.source.id}/to/{session.destination.id}"
        return {
            "message": (
                "# This session needs an additional check.\r\n"
                f"# To authenticate, visit: {self._page_url_prefix}{check.id}\r\n"
            ),
            # Nodes ask over their connection, whatever the host is.
            "holdAndDelegate": f"https://unused{path}?{query}",
        }


def _accept(rule: SshPolicyRule) -> dict[str, Any]:
    action: dict[str, Any] = rule._replace(check=False).to_wire()["action"]
    return action


def _reject(why: str) -> dict[str, Any]:
    return {"reject": True, "message": f"# {why}\r\n"}


def _period_s(rule: SshPolicyRule) -> float:
    return _DEFAULT_PERIOD_S if rule.check_period_ns is None else rule.check_period_ns / 1e9
