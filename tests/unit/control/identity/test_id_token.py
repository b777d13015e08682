"""ID tokens: one good one, and every way in which it could be another's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey

from control.identity.id_token import IdTokenError, UnknownKeyError, verify_id_token

NOW = datetime(2026, 1, 2, tzinfo=UTC)
AT = int(NOW.timestamp())
KEY = ECKey.generate_key("P-256", {"kid": "one"})
OTHER = ECKey.generate_key("P-256", {"kid": "one"})
SECRET = OctKey.generate_key(256, {"kid": "one"})
CLAIMS = {
    "iss": "https://issuer.example",
    "aud": "postern",
    "sub": "1",
    "iat": AT,
    "exp": AT + 60,
    "nonce": "n",
}


def signed(key: Any = KEY, alg: str = "ES256", kid: str = "one", **claims: Any) -> str:
    present = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not None}
    return jwt.encode({"alg": alg, "kid": kid}, present, key)


def verify(token: str, keys: tuple[Any, ...] = (KEY,)) -> Any:
    return verify_id_token(
        token,
        KeySet(list(keys)),
        issuer="https://issuer.example",
        client_id="postern",
        nonce="n",
        now=NOW,
    )


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"aud": ["postern"]},
        {"aud": ["postern", "other"], "azp": "postern"},
        {"exp": AT - 29},
        {"iat": AT + 29},
    ],
)
def test_good_token_gives_its_claims(claims: dict[str, Any]) -> None:
    assert verify(signed(**claims))["sub"] == "1"


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"iss": "https://issuer.example/"}, "another issuer"),
        ({"iss": None}, "another issuer"),
        ({"aud": "other"}, "another client"),
        ({"aud": None}, "another client"),
        ({"aud": {"postern": 1}}, "another client"),
        ({"aud": ["postern", "other"]}, "given to another client"),
        ({"azp": "other"}, "given to another client"),
        ({"exp": AT - 30}, "expired"),
        ({"exp": None}, "no exp"),
        ({"exp": "9999999999"}, "no exp"),
        ({"exp": True}, "no exp"),
        ({"exp": 1e300}, "no exp"),
        ({"iat": AT + 31}, "future"),
        ({"nonce": "m"}, "another login"),
        ({"nonce": None}, "another login"),
        ({"sub": ""}, "nobody"),
        ({"sub": "x" * 256}, "nobody"),
        ({"sub": 1}, "nobody"),
    ],
)
def test_token_of_something_else_is_refused(claims: dict[str, Any], said: str) -> None:
    with pytest.raises(IdTokenError, match=said):
        verify(signed(**claims))


def test_signature_of_another_key_is_refused() -> None:
    with pytest.raises(IdTokenError, match="does not verify"):
        verify(signed(OTHER))


def test_changed_claims_are_refused() -> None:
    head, _, signature = signed().split(".")
    _, body, _ = signed(sub="2").split(".")
    with pytest.raises(IdTokenError, match="does not verify"):
        verify(f"{head}.{body}.{signature}")


def test_shared_secret_cannot_sign() -> None:
    with pytest.raises(IdTokenError, match="does not verify"):
        verify(signed(SECRET, "HS256"), (SECRET,))


def test_token_without_signature_is_refused() -> None:
    body = signed().split(".")[1]
    with pytest.raises(IdTokenError):
        verify(f"eyJhbGciOiJub25lIn0.{body}.")


def test_unknown_key_asks_for_the_keys_again() -> None:
    with pytest.raises(UnknownKeyError):
        verify(signed(kid="two"))


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "." * 100, "é.é.é", "x" * 70_000])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(IdTokenError):
        verify(text)
