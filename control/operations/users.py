"""Users: made, renamed and deleted."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from control.errors import InvalidRequestError, NotFoundError
from control.store.records import Role, UserRecord

if TYPE_CHECKING:
    from control.registry.ledger import Ledger

__all__ = [
    "add_user",
    "delete_user",
    "find_users",
    "rename_user",
    "set_role",
    "the_user",
    "user_called",
]

_NAME: Final = re.compile(r"[^\s/@][^\s/]{0,253}", re.UNICODE)


def the_user(ledger: Ledger, user_id: int) -> UserRecord:
    """Return a user; raises NotFoundError."""
    user = ledger.tailnet.user(user_id)
    if user is None:
        raise NotFoundError(f"there is no user {user_id}; `postern control users list` shows all")
    return user


def find_users(
    ledger: Ledger, *, user_id: int | None = None, name: str = "", email: str = ""
) -> list[UserRecord]:
    """Return the users that match everything given."""
    return [
        user
        for user in ledger.tailnet.users
        if user_id in {None, user.id} and name in {"", user.name} and email in {"", user.email}
    ]


def user_called(ledger: Ledger, name: str) -> UserRecord:
    """Return the user with a number, name or mail address; raises NotFoundError."""
    found = [u for u in ledger.tailnet.users if name in {str(u.id), u.name, u.email}]
    if not name or len(found) != 1:
        raise NotFoundError(f"there is no one user {name!r}; name one by its number")
    return found[0]


async def add_user(
    ledger: Ledger,
    actor: str,
    *,
    name: str,
    display_name: str = "",
    email: str = "",
    picture_url: str = "",
) -> UserRecord:
    """Make a user; raises InvalidRequestError or AlreadyExistsError."""
    _check_name(name)
    async with ledger.transaction(actor) as transaction:
        made = UserRecord(
            id=0,
            name=name,
            display_name=display_name,
            email=email,
            picture_url=picture_url,
            created_at=transaction.now,
        )
        added = await transaction.add_user(made)
        await transaction.audit("user.create", f"user:{added.id}", name=name)
    return added


async def rename_user(ledger: Ledger, actor: str, user_id: int, name: str) -> UserRecord:
    """Give a user another name."""
    _check_name(name)
    user = the_user(ledger, user_id)
    async with ledger.transaction(actor) as transaction:
        await transaction.save_user(replace(user, name=name), user)
        await transaction.audit("user.rename", f"user:{user_id}", old=user.name, new=name)
    return the_user(ledger, user_id)


async def set_role(ledger: Ledger, actor: str, user_id: int, role_name: str) -> UserRecord:
    """Give a user another role; raises InvalidRequestError for one that does not exist."""
    try:
        role = Role(role_name)
    except ValueError:
        known = ", ".join(each.value for each in Role)
        raise InvalidRequestError(f"role {role_name!r} does not exist; choose {known}") from None
    user = the_user(ledger, user_id)
    async with ledger.transaction(actor) as transaction:
        await transaction.save_user(replace(user, role=role), user)
        await transaction.audit("user.role", f"user:{user_id}", role=role.value)
    return the_user(ledger, user_id)


async def delete_user(ledger: Ledger, actor: str, user_id: int) -> None:
    """Delete a user who owns nothing; raises AlreadyExistsError otherwise."""
    user = the_user(ledger, user_id)
    async with ledger.transaction(actor) as transaction:
        await transaction.delete_user(user_id)
        await transaction.audit("user.delete", f"user:{user_id}", name=user.name)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidRequestError(
            f"user name {name!r}: 1 to 254 characters without spaces and slashes, no @ in front"
        )
