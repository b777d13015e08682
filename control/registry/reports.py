"""What nodes report about themselves in map requests: into memory at once, to disk in batches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from control.registry import routes
from control.registry.ledger import Change
from control.registry.names import label_of_hostname, unique_label
from control.store.queries import REPORTED
from control.wire import Hostinfo, usable_endpoints

if TYPE_CHECKING:
    from control.registry.ledger import Ledger
    from control.registry.routes import AutoApproved
    from control.store.records import NodeRecord
    from control.wire import MapRequest

__all__ = ["Reports", "absorbed"]


def absorbed(node: NodeRecord, request: MapRequest, version: int) -> NodeRecord:
    """Return the node with what a request says; what it leaves out stays.

    Zero keys, a missing home relay and missing network details never replace known ones.
    """
    hostinfo = node.hostinfo if request.hostinfo is None else _merged(node, request.hostinfo)
    changed = replace(
        node,
        disco_key=node.disco_key if request.disco_key.is_zero else request.disco_key,
        endpoints=(
            node.endpoints if request.endpoints is None else usable_endpoints(request.endpoints)
        ),
        hostinfo=hostinfo,
        home_derp=hostinfo.preferred_derp or node.home_derp,
        capability_version=max(version, request.version),
    )
    return node if changed == node else changed


def _merged(node: NodeRecord, reported: Hostinfo) -> Hostinfo:
    if "NetInfo" in reported.raw or "NetInfo" not in node.hostinfo.raw:
        return reported
    return Hostinfo({**reported.raw, "NetInfo": node.hostinfo.raw["NetInfo"]})


class Reports:
    """Takes reports in and writes them when asked to."""

    def __init__(self, ledger: Ledger, auto_approved: AutoApproved) -> None:
        self._ledger = ledger
        self._auto_approved = auto_approved
        self._unwritten: set[int] = set()

    async def take(self, node: NodeRecord, request: MapRequest, version: int) -> NodeRecord:
        """Absorb a report and tell who sees the node. Names and routes are durable at once."""
        changed = absorbed(node, request, version)
        if changed is node:
            return node
        durable = self._with_name_and_routes(node, changed)
        if durable is not changed:
            async with self._ledger.transaction(f"node:{node.id}") as transaction:
                await transaction.save_node(durable, node)
            return self._ledger.tailnet.node(node.id) or durable
        self.put(changed)
        return changed

    def upon(self, stored: NodeRecord) -> NodeRecord:
        """Return a row with what its node reported here and no row says yet."""
        node = self._ledger.tailnet.node(stored.id)
        if node is None or stored.id not in self._unwritten:
            return stored
        return replace(stored, **{name: getattr(node, name) for name in REPORTED})

    def put(self, node: NodeRecord) -> None:
        """Take a record whose news may reach the disk later."""
        self._ledger.tailnet.put_node(node)
        self._unwritten.add(node.id)
        self._ledger.announce(Change(nodes=frozenset({node.id})))

    async def write(self) -> None:
        """Write everything that is not on disk yet."""
        if not self._unwritten:
            return
        numbers, self._unwritten = self._unwritten, set()
        found = [self._ledger.tailnet.node(number) for number in sorted(numbers)]
        try:
            async with self._ledger.transaction("reports") as transaction:
                await transaction.save_reports([node for node in found if node is not None])
        except BaseException:
            self._unwritten |= numbers
            raise

    def _with_name_and_routes(self, old: NodeRecord, new: NodeRecord) -> NodeRecord:
        if new.hostinfo is old.hostinfo:
            return new
        routed = routes.after_report(old, new, self._auto_approved)
        name = new.given_name
        if new.hostinfo.hostname != old.hostinfo.hostname and not new.is_renamed:
            wanted = label_of_hostname(new.hostinfo.hostname)
            tailnet = self._ledger.tailnet
            name = unique_label(
                wanted, lambda label: label != new.given_name and tailnet.is_name_taken(label)
            )
        return routed if name == new.given_name else replace(routed, given_name=name)
