"""Who an ID token speaks of, whether they may come in, and which user they are here."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from control.errors import AlreadyExistsError, ControlError
from control.identity.provider_groups import provider_groups
from control.store.records import Role, UserRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

    from control.identity.oidc_settings import Oidc
    from control.registry.ledger import Ledger

__all__ = ["NotAllowedError", "Person", "keep_person", "person_of"]

_MAX_TEXT: Final = 254
_EMAIL: Final = re.compile(r"[^\s@/]+@[^\s@/]+")


class NotAllowedError(ControlError):
    """The provider vouches for somebody whom the configuration does not let in."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody the provider vouches for."""

    provider_id: str
    """Issuer and subject: all that identifies a person. Names and addresses may change hands."""
    name: str
    display_name: str
    email: str
    picture_url: str
    groups: tuple[str, ...]
    role: Role | None
    """None where the provider does not decide about roles."""
    vouched_until: datetime


def person_of(claims: Mapping[str, Any], settings: Oidc) -> Person:
    """Return the person of a verified token's claims; raises NotAllowedError.

    Gates are asked in this order (control reference 3.5): groups, verified address, domains, users.
    """
    groups = provider_groups(claims.get(settings.groups_claim), settings.groups_at)
    email = _text(claims, "email").lower()
    if not _EMAIL.fullmatch(email):
        email = ""
    if settings.allowed_groups and not set(groups) & set(settings.allowed_groups):
        raise NotAllowedError("you are in none of the groups that may log in here")
    if settings.email_verified_required and not _is_verified(claims):
        raise NotAllowedError("the identity provider has not verified your mail address")
    domains = {domain.lower() for domain in settings.allowed_domains}
    if domains and email.rpartition("@")[2] not in domains:
        raise NotAllowedError("your mail address is of a domain that may not log in here")
    if settings.allowed_users and email not in {user.lower() for user in settings.allowed_users}:
        raise NotAllowedError("you are not among those who may log in here")
    provider_id = f"{settings.issuer.rstrip('/')}/{claims['sub']}"
    return Person(
        provider_id=provider_id,
        # Never a name of the person's own choice: policies take users by it.
        name=email or f"oidc-{hashlib.sha256(provider_id.encode()).hexdigest()[:16]}",
        display_name=_text(claims, "name"),
        email=email,
        picture_url=_text(claims, "picture"),
        groups=groups,
        role=_role(groups, settings),
        vouched_until=datetime.fromtimestamp(claims["exp"], UTC),
    )


async def keep_person(ledger: Ledger, person: Person) -> UserRecord:
    """Make the person's user, or bring it up to date; raises AlreadyExistsError.

    An address that is another user's already is refused: the policy could not tell them apart.
    """
    known = next((u for u in ledger.tailnet.users if u.provider_id == person.provider_id), None)
    told = UserRecord(
        id=0 if known is None else known.id,
        name=person.name,
        display_name=person.display_name,
        email=person.email,
        picture_url=person.picture_url,
        provider="oidc",
        provider_id=person.provider_id,
        role=person.role or (Role.MEMBER if known is None else known.role),
        groups=person.groups,
        created_at=ledger.now() if known is None else known.created_at,
    )
    if any(u.login_name == told.login_name and u.id != told.id for u in ledger.tailnet.users):
        raise AlreadyExistsError(
            f"{told.login_name} is another user here already; ask an administrator"
        )
    if told == known:
        return known
    async with ledger.transaction("oidc") as transaction:
        if known is None:
            told = await transaction.add_user(replace(told, created_at=transaction.now))
        else:
            await transaction.save_user(told, known)
        await transaction.audit("user.login", f"user:{told.id}", groups=list(told.groups))
    return ledger.tailnet.user(told.id) or told


def _is_verified(claims: Mapping[str, Any]) -> bool:
    # Some providers spell the truth as a text.
    said = claims.get("email_verified")
    return said is True or said == "true"


def _role(groups: tuple[str, ...], settings: Oidc) -> Role | None:
    if not settings.roles:
        return None
    matching = {role for group, role in settings.roles.items() if group in groups}
    return next((role for role in Role if role in matching), Role.MEMBER)


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or len(value) > _MAX_TEXT or not value.isprintable():
        return ""
    return value.strip()
