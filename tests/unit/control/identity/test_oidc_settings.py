"""Settings of the identity provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from control.errors import InvalidRequestError
from control.identity.oidc_settings import Oidc

if TYPE_CHECKING:
    from pathlib import Path


def oidc(**values: Any) -> Oidc:
    return Oidc(**{"issuer": "https://id.example", "client_id": "postern", **values})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"issuer": "http://id.example"}, "https URL"),
        ({"issuer": "id.example"}, "https URL"),
        ({"issuer": "https://id.example?x=1"}, "without query"),
        ({"client_id": ""}, "client_id"),
        ({"scope": ("email",)}, "openid is needed"),
        ({"client_secret": "s", "client_secret_path": "f"}, "one of them"),
        ({"roles": {"eng@x": "king"}}, "roles"),
        ({"pkce": False}, "pkce"),
    ],
)
def test_bad_settings_are_named(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        oidc(**values)


def test_secret_comes_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("hidden\n")
    assert oidc(client_secret_path=path).secret() == "hidden"


def test_missing_secret_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="secret"):
        oidc(client_secret_path=tmp_path / "secret").secret()


def test_secret_is_not_shown() -> None:
    assert "hidden" not in repr(oidc(client_secret="hidden"))  # noqa: S106  not a secret
