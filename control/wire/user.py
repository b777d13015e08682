"""Users as nodes see them."""

# ruff: noqa: RUF009  (the calls in field defaults declare fields; they make no values)

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from control.wire._codec import Message, always, maybe, plain
from control.wire._scalars import INT, TEXT, TIME

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["TAGGED_DEVICES", "TAGGED_DEVICES_ID", "Login", "User", "UserProfile"]

TAGGED_DEVICES_ID: Final = 2147455555
"""Owner shown for every tagged node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Message):
    """The account that a node was registered under."""

    id: int = always("ID", INT, zero=0)
    display_name: str = always("DisplayName", TEXT, zero="")
    profile_pic_url: str = plain("ProfilePicURL", TEXT, zero="")
    created: datetime | None = maybe("Created", TIME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Login(Message):
    """How that account signs in."""

    id: int = always("ID", INT, zero=0)
    provider: str = always("Provider", TEXT, zero="")
    login_name: str = always("LoginName", TEXT, zero="")
    display_name: str = always("DisplayName", TEXT, zero="")
    profile_pic_url: str = plain("ProfilePicURL", TEXT, zero="")


@dataclass(frozen=True, slots=True, kw_only=True)
class UserProfile(Message):
    """An owner of a visible node."""

    id: int = always("ID", INT, zero=0)
    login_name: str = always("LoginName", TEXT, zero="")
    display_name: str = always("DisplayName", TEXT, zero="")
    profile_pic_url: str = plain("ProfilePicURL", TEXT, zero="")


TAGGED_DEVICES: Final = UserProfile(
    id=TAGGED_DEVICES_ID, login_name="tagged-devices", display_name="Tagged Devices"
)
