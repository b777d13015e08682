"""What happens by itself: nodes go offline, expire or are given up, and reports reach the disk."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from control.registry.ledger import Change

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from control.identity.enrolment import Enrolment
    from control.policies.keeper import PolicyKeeper
    from control.registry.ledger import Ledger
    from control.registry.presence import Presence
    from control.registry.reports import Reports
    from policy.model.document import Policy

__all__ = ["Upkeep"]

_TICK_S: Final = 1.0
_WRITE_EVERY_TICKS: Final = 5
_log = structlog.get_logger("control.upkeep")


class Upkeep:
    """One loop, once a second. Its parts can be called alone."""

    def __init__(
        self,
        ledger: Ledger,
        enrolment: Enrolment,
        presence: Presence,
        reports: Reports,
        keeper: PolicyKeeper,
        is_held_elsewhere: Callable[[int], bool],
    ) -> None:
        """`is_held_elsewhere` tells whether a node is connected to another server."""
        self._ledger = ledger
        self._enrolment = enrolment
        self._presence = presence
        self._reports = reports
        self._keeper = keeper
        self._is_held_elsewhere = is_held_elsewhere
        self._looked_at = ledger.now()
        self._is_changed = False
        ledger.listen(self._note)
        keeper.listen(self._note_policy)

    def _note(self, change: Change) -> None:
        self._is_changed = True
        for node_id in change.nodes:
            if self._ledger.tailnet.node(node_id) is None:
                self._presence.forget(node_id)

    def _note_policy(self, _policy: Policy) -> None:
        self._is_changed = True

    async def run(self) -> None:
        """Tick until cancelled. A database that fails now may work at the next tick."""
        loop = asyncio.get_running_loop()
        for node in self._ledger.tailnet.nodes:
            if node.is_ephemeral:
                self._presence.expect(node.id, loop.time())
        ticks = 0
        while True:
            # No grace is shorter than a tick: who leaves during one is known when the next begins.
            now = loop.time()
            await asyncio.sleep(max(0.0, min(_TICK_S, self._presence.next_offline_at - now)))
            ticks += 1
            try:
                await self.tick(loop.time())
                # Other servers learn of reports from the database.
                every = _WRITE_EVERY_TICKS if self._ledger.database.is_sqlite else 1
                if ticks % every == 0:
                    await self.write_reports()
            except Exception:  # noqa: BLE001  the loop must outlive a database that is away
                _log.exception("upkeep failed; trying again")

    async def tick(self, now: float) -> None:
        """Do what is due."""
        due = self._presence.due(now)
        for node_id in due.offline:
            self._went_offline(node_id)
        self.tell_expiries()
        for node_id in due.abandoned:
            try:
                await self._give_up(node_id, now)
            except BaseException:
                # It is due again at the next tick.
                self._presence.expect(node_id, now - self._presence.ephemeral_timeout_s)
                raise
        if self._is_changed:
            self._is_changed = False
            try:
                await self._keeper.look_again()
            except BaseException:
                self._is_changed = True
                raise

    def tell_expiries(self) -> None:
        """Tell everybody concerned of node keys whose life ended since the last look."""
        before, self._looked_at = self._looked_at, self._ledger.now()
        ended = frozenset(
            node.id
            for node in self._ledger.tailnet.nodes
            if node.expires_at is not None and before < node.expires_at <= self._looked_at
        )
        if ended:
            self._ledger.announce(Change(nodes=ended))

    async def write_reports(self) -> None:
        """Write what nodes reported since the last time."""
        await self._reports.write()

    def _went_offline(self, node_id: int) -> None:
        node = self._ledger.tailnet.node(node_id)
        if node is None:
            return
        self._ledger.tell_neighbours(node_id, is_online=False)
        if self._is_held_elsewhere(node_id):
            return
        if not self._ledger.tailnet.set_online(node_id, is_online=False):
            return
        now: datetime = self._ledger.now()
        self._reports.put(replace(node, last_seen=now))

    async def _give_up(self, node_id: int, now: float) -> None:
        node = self._ledger.tailnet.node(node_id)
        if node is None or self._presence.is_connected(node_id):
            return
        if self._is_held_elsewhere(node_id):
            # The other server watches over it; should that one die, it has the full time again.
            self._presence.expect(node_id, now)
            return
        async with self._ledger.transaction("upkeep") as transaction:
            await transaction.delete_node(node)
            await transaction.audit("node.delete", f"node:{node_id}", reason="ephemeral")
        self._enrolment.release(node)
