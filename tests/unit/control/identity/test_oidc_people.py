"""Who an ID token speaks of, and whether they may come in."""

from __future__ import annotations

from typing import Any

import pytest

from control.identity.oidc_people import NotAllowedError, Person, person_of
from control.identity.oidc_settings import Oidc

CLAIMS: dict[str, Any] = {
    "sub": "7",
    "exp": 1_800_000_000,
    "email": "Ann@X.example",
    "email_verified": True,
    "groups": ["eng"],
}


def person(claims: dict[str, Any] | None = None, **settings: Any) -> Person:
    oidc = Oidc(issuer="https://id.example", client_id="postern", **settings)
    return person_of({**CLAIMS, **(claims or {})}, oidc)


def test_person_is_known_by_issuer_and_subject() -> None:
    assert person().provider_id == "https://id.example/7"


def test_groups_get_the_issuers_host_where_no_domain_is_set() -> None:
    assert person().groups == ("eng@id.example",)


@pytest.mark.parametrize("email", ["", "ann", "a@b@c", "a b@c", "/@c", "a@b\n", None, 7])
def test_address_that_is_none_is_not_believed(email: Any) -> None:
    found = person({"email": email})
    assert found.email == ""
    assert found.name.startswith("oidc-")


def test_name_of_the_persons_choice_is_not_a_login() -> None:
    found = person({"email": None, "preferred_username": "root@x.example"})
    assert "@" not in found.name


@pytest.mark.parametrize("said", [True, "true"])
def test_verified_address_may_be_spelled_as_text(said: Any) -> None:
    assert person({"email_verified": said}).email == "ann@x.example"


@pytest.mark.parametrize("said", [False, None, "false", "yes", [True]])
def test_unverified_address_is_refused(said: Any) -> None:
    with pytest.raises(NotAllowedError):
        person({"email_verified": said})


def test_unverified_address_passes_where_the_operator_says_so() -> None:
    assert person({"email_verified": None}, email_verified_required=False).email


@pytest.mark.parametrize(
    "settings",
    [
        {"allowed_domains": ("example",)},
        {"allowed_domains": ("sub.x.example",)},
        {"allowed_users": ("bo@x.example",)},
        {"allowed_groups": ("eng@x.example",)},
    ],
)
def test_others_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(NotAllowedError):
        person(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"allowed_domains": ("X.example",)},
        {"allowed_users": ("ANN@x.example",)},
        {"allowed_groups": ("eng@x.example", "ops@x.example"), "group_domain": "x.example"},
    ],
)
def test_those_named_are_let_in(settings: dict[str, Any]) -> None:
    assert person(**settings).email == "ann@x.example"


def test_provider_without_roles_leaves_them_alone() -> None:
    assert person().role is None
