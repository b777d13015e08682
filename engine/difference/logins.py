"""What one SSH policy of a device lets in and another does not (policy reference 6.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.testing.ssh import Login

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.compile.ssh import SshPolicyRule
    from engine.origin import Origin

__all__ = ["ANY_ACCOUNT", "LoginChange", "login_changes"]

ANY_ACCOUNT = "*"
"""Every account that no rule names, root left out."""


class LoginChange(NamedTuple):
    """Logins to accounts of one device that are decided otherwise."""

    receiver: int
    """Index of the device."""
    sources: tuple[str, ...]
    """Addresses, sorted as text."""
    accounts: tuple[str, ...]
    before: Login
    after: Login
    origins: tuple[Origin, ...]
    """The rule of the new policy that decides now, else that of the old one."""


class _Answer(NamedTuple):
    login: Login
    origin: Origin | None


def login_changes(
    receiver: int, old: Sequence[SshPolicyRule], new: Sequence[SshPolicyRule]
) -> list[LoginChange]:
    """Compare two SSH policies of one device."""
    if old == new:
        return []
    accounts = [
        ANY_ACCOUNT,
        *sorted({name for rule in (*old, *new) for name in rule.ssh_users} - {ANY_ACCOUNT}),
    ]
    found: list[LoginChange] = []
    for sources, (old_rules, new_rules) in _alike(old, new):
        changed: dict[tuple[_Answer, _Answer], list[str]] = {}
        for account in accounts:
            before, after = (_answer(rules, account) for rules in (old_rules, new_rules))
            if before.login is not after.login:
                changed.setdefault((before, after), []).append(account)
        for (before, after), names in changed.items():
            origins = [o for o in (after.origin or before.origin,) if o is not None]
            found.append(
                LoginChange(
                    receiver, sources, tuple(names), before.login, after.login, tuple(origins)
                )
            )
    return found


def _alike(
    old: Sequence[SshPolicyRule], new: Sequence[SshPolicyRule]
) -> Iterator[tuple[tuple[str, ...], tuple[list[SshPolicyRule], list[SshPolicyRule]]]]:
    """Yield the sources of which the same rules speak, with those rules."""
    spoken: dict[str, tuple[list[int], list[int]]] = {}
    for side, rules in enumerate((old, new)):
        for number, rule in enumerate(rules):
            for source in dict.fromkeys(rule.principals):
                spoken.setdefault(source, ([], []))[side].append(number)
    classes: dict[tuple[tuple[int, ...], tuple[int, ...]], list[str]] = {}
    for source, (of_old, of_new) in spoken.items():
        classes.setdefault((tuple(of_old), tuple(of_new)), []).append(source)
    for (by_old, by_new), sources in classes.items():
        yield tuple(sorted(sources)), ([old[n] for n in by_old], [new[n] for n in by_new])


def _answer(rules: Sequence[SshPolicyRule], account: str) -> _Answer:
    """Return what the first rule that maps an account says."""
    for rule in rules:
        local = rule.ssh_users.get(account)
        if local is None and account != "root":
            local = rule.ssh_users.get(ANY_ACCOUNT)
        if local:
            return _Answer(Login.CHECK if rule.check else Login.ACCEPT, rule.origin)
    return _Answer(Login.DENY, None)
