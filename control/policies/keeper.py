"""Keeps the policy in force: sets it, checks it, goes back, and looks at its tests again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog

from control.errors import InvalidRequestError, NotFoundError, StaleError
from control.mapper.directory import directory_of
from control.policies.applicants import approved_routes, may_tag
from control.policies.checking import Checked, check_policy, failed_tests, with_other_tests
from control.policies.in_force import InForce, PolicyRefusedError, choose_stored
from control.store import queries
from engine.difference import difference, difference_to_json
from engine.testing.imagined import imagine_both

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncConnection

    from control.mapper.directory import KnownNodes
    from control.policies.checking import FailedTest
    from control.registry.ledger import Ledger
    from control.store.records import NodeRecord, PolicyVersion, UserRecord
    from control.wire import Prefix
    from engine.directory import Directory
    from policy.model.document import Policy

__all__ = ["PolicyKeeper"]

_TRIED_AT_START: Final = 20
DEFAULT_ETAG: Final = '"ts-default"'
_log = structlog.get_logger("control.policy")


class PolicyKeeper:
    """The one who may put a policy in force. `listen` hears of each that is."""

    def __init__(
        self, ledger: Ledger, in_force: InForce, *, domain: str, file: Path | None = None
    ) -> None:
        self._ledger = ledger
        self._in_force = in_force
        self._domain = domain
        self._file = file
        self._turn = asyncio.Lock()
        self._listeners: list[Callable[[Policy], None]] = []
        self._known: KnownNodes = {}
        self.failing_tests: tuple[str, ...] = ()
        """What the policy's own tests find against the tailnet as it is now."""
        self.pending_tests: tuple[str, ...] = ()
        """Those that say nothing yet, because no device has a name that they speak of."""

    @classmethod
    async def start(cls, ledger: Ledger, *, domain: str, file: Path | None = None) -> PolicyKeeper:
        """Choose what to serve, from the file or the newest good stored version."""
        async with ledger.database.reading() as connection:
            stored = choose_stored(await queries.policy_versions(connection, most=_TRIED_AT_START))
        keeper = cls(ledger, stored, domain=domain, file=file)
        if file is not None:
            await keeper.reload_file(at_start=True)
        if keeper.in_force.warning:
            _log.error("policy in force is not the newest", reason=keeper.in_force.warning)
        return keeper

    @property
    def in_force(self) -> InForce:
        """The policy that nodes are told."""
        return self._in_force

    def listen(self, listener: Callable[[Policy], None]) -> None:
        """Call `listener` with each policy that comes into force."""
        self._listeners.append(listener)

    async def check(self, text: str, *, may_wait: bool = False) -> Checked:
        """Load a text and run its tests, and change nothing."""
        return await asyncio.to_thread(check_policy, text, self.directory(), may_wait=may_wait)

    async def compare(self, text: str, version_id: int | None = None) -> dict[str, Any]:
        """Return what access a text would add and remove, in JSON (`engine.difference`).

        It is compared with the policy in force, or with a stored version. Tests are not run.
        Where both allow the same now, `imagined` is what would differ if every user and tag that
        they name had a device, or None.
        Raises PolicyRefusedError for a text that does not load, and NotFoundError.
        """
        old = self._in_force.policy
        if version_id is not None:
            old = _loaded((await self.version(version_id)).text)
        new = _loaded(text)
        return await asyncio.to_thread(_compared, old, new, self.directory())

    async def check_tests(self, tests: str) -> Checked:
        """Run other tests, a JSON array, against the policy in force; change nothing."""
        return await asyncio.to_thread(
            check_policy, with_other_tests(self._in_force.text, tests), self.directory()
        )

    def load(self, text: str) -> Policy:
        """Load a text without its tests; raises PolicyRefusedError."""
        return _loaded(text)

    def directory(self) -> Directory:
        """Return the tailnet as policies see it now."""
        return directory_of(
            self._ledger.tailnet, name=self._domain, domains=None, known=self._known
        )

    async def set(
        self, text: str, actor: str, *, if_match: str | None = None, may_wait: bool = False
    ) -> InForce:
        """Put a policy in force; with `may_wait`, tests about nobody may wait for somebody.

        Raises PolicyRefusedError, StaleError where `if_match` names another one than the one in
        force, or InvalidRequestError in file mode. The old policy stays in all these cases. Of two
        that name the same one, on any servers of one database, only one comes into force.
        """
        if self._file is not None:
            raise InvalidRequestError(
                f"the policy is kept in {self._file.name}: edit the file and send SIGHUP"
            )
        async with self._turn:
            if if_match is not None:
                # Nobody waits for the tests of a policy that cannot come into force any more.
                async with self._ledger.database.reading() as connection:
                    await self._require_match(connection, if_match)
            checked = await self.check(text, may_wait=may_wait)
            if checked.policy is None:
                raise PolicyRefusedError(checked)
            async with self._ledger.transaction(actor) as transaction:
                await queries.lock_policy(transaction.connection)
                if if_match is not None:
                    await self._require_match(transaction.connection, if_match)
                version = await transaction.add_policy(text)
                details = {"pendingTests": len(checked.waiting)} if checked.waiting else {}
                await transaction.audit("policy.set", f"policy:{version}", **details)
                in_force = InForce(checked.policy, text, version)
                transaction.when_durable(lambda: self._put(in_force))
            self._note_failing(checked.waiting)
            return self._in_force

    async def roll_back(self, version_id: int, actor: str) -> InForce:
        """Put an earlier version in force again, as a new one; raises as `set` does."""
        version = await self.version(version_id)
        return await self.set(version.text, actor)

    async def version(self, version_id: int) -> PolicyVersion:
        """Return a stored version; raises NotFoundError."""
        async with self._ledger.database.reading() as connection:
            version = await queries.policy_version(connection, version_id)
        if version is None:
            raise NotFoundError(f"there is no policy version {version_id}")
        return version

    async def history(self, *, most: int = 100) -> list[PolicyVersion]:
        """Return stored versions, newest first."""
        async with self._ledger.database.reading() as connection:
            return await queries.policy_versions(connection, most=most)

    async def reload_stored(self) -> None:
        """Follow another server that put a policy in force."""
        if self._file is not None:
            return
        async with self._turn:
            chosen = choose_stored(await self.history(most=_TRIED_AT_START))
            if chosen != self._in_force:
                self._put(chosen)

    async def reload_file(self, *, at_start: bool = False) -> None:
        """Read the policy file again; one that fails leaves the policy in force as it is.

        At the start there is none to leave: everything is denied until the file is put right.
        """
        if self._file is None:
            return
        try:
            text = await asyncio.to_thread(self._file.read_text, "utf-8", "surrogateescape")
            problems: tuple[str, ...] = ()
        except OSError as error:
            text, problems = "", (f"{self._file}: {error.strerror}",)
        if not problems:
            checked = (
                check_policy(text, None, name=str(self._file))
                if at_start
                else (await self.check(text))
            )
            problems = checked.problems
            if checked.policy is not None:
                self._put(InForce(checked.policy, text, 0))
                if not at_start:
                    _log.info("policy file read again", etag=self._in_force.etag)
                return
        if at_start:
            denied = choose_stored([])
            policy = check_policy('{"acls": []}', None).policy or denied.policy
            reason = "the policy file does not load, so everything is denied: "
            self._put(InForce(policy, text, 0, reason + "; ".join(problems[:3])))
            return
        _log.error("policy file refused; the old policy stays", problems=problems[:10])

    async def look_again(self) -> None:
        """Run the tests of the policy in force against the tailnet as it is now."""
        policy = self._in_force.policy
        if not (policy.tests or policy.ssh_tests):
            self._note_failing(())
            return
        found = await asyncio.to_thread(failed_tests, policy, self.directory())
        before = self.failing_tests
        self._note_failing(found)
        if self.failing_tests and self.failing_tests != before:
            _log.warning("tests of the policy in force fail now", problems=self.failing_tests[:10])

    def _note_failing(self, found: Iterable[FailedTest]) -> None:
        known = tuple(found)
        self.failing_tests = tuple(e for test in known if not test.may_wait for e in test.errors)
        self.pending_tests = tuple(e for test in known if test.may_wait for e in test.errors)

    def may_tag(self, user: UserRecord, tag: str) -> bool:
        """Return whether a user may put a tag on a node."""
        return may_tag(self._in_force.policy, user, tag)

    def approved_routes(self, node: NodeRecord, routes: Iterable[Prefix]) -> tuple[Prefix, ...]:
        """Return those of a node's routes that the policy approves by itself."""
        user = None if node.user_id is None else self._ledger.tailnet.user(node.user_id)
        return approved_routes(self._in_force.policy, node, user, routes)

    async def _require_match(self, connection: AsyncConnection, if_match: str) -> None:
        """Raise StaleError unless `if_match` names what is stored as the policy in force.

        What is in memory does not count: another server may have set a newer one.
        """
        stored = await queries.policy_versions(connection, most=_TRIED_AT_START)
        is_held = stored and stored[0].id == self._in_force.version
        in_force = self._in_force if is_held else choose_stored(stored)
        if if_match == in_force.etag or (if_match == DEFAULT_ETAG and not stored):
            return
        raise StaleError("the policy was changed meanwhile; fetch it and apply the change again")

    def _put(self, in_force: InForce) -> None:
        self._in_force = in_force
        for listener in self._listeners:
            listener(in_force.policy)


def _loaded(text: str) -> Policy:
    checked = check_policy(text, None)
    if checked.policy is None:
        raise PolicyRefusedError(checked)
    return checked.policy


def _compared(old: Policy, new: Policy, directory: Directory) -> dict[str, Any]:
    found = difference(old, new, directory)
    spelled = {**difference_to_json(found), "imagined": None}
    if found.is_empty:
        # Nobody may be there yet whom the policies treat differently.
        imagined = difference(old, new, imagine_both(old, new))
        spelled["imagined"] = None if imagined.is_empty else difference_to_json(imagined)
    return spelled
