"""ID tokens of an OpenID Connect provider (OpenID Connect Core 3.1.3.7, RFC 7519)."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, Final

from joserfc import jwt
from joserfc.errors import JoseError

from control.errors import ControlError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from joserfc.jwk import GuestProtocol, Key, KeySet

__all__ = ["IdTokenError", "UnknownKeyError", "verify_id_token"]

LEEWAY_S: Final = 30.0
_MAX_TOKEN: Final = 64 * 1024
_MAX_SUBJECT: Final = 255
_END_OF_TIME: Final = 253_402_300_800
# Signatures by the provider's private key only: with a shared secret or none, a client could sign.
_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384")


class IdTokenError(ControlError):
    """The token is not one to believe; the text says why, for the log."""


class UnknownKeyError(IdTokenError):
    """The provider's keys as known here do not hold the token's: they may have been rotated."""


def verify_id_token(
    token: str, keys: KeySet, *, issuer: str, client_id: str, nonce: str, now: datetime
) -> Mapping[str, Any]:
    """Return the claims of a token that this provider made for this client and this login.

    Clocks may differ by 30 seconds. Raises UnknownKeyError or IdTokenError.
    """
    if len(token) > _MAX_TOKEN:
        raise IdTokenError("the ID token is too long")

    def key_of(signed: GuestProtocol) -> Key:
        kid = signed.headers().get("kid")
        fitting = [key for key in keys.keys if kid is None or key.kid == kid]
        if len(fitting) != 1:
            raise UnknownKeyError(f"the ID token's key {kid!r} is not among the provider's")
        return fitting[0]

    try:
        claims = jwt.decode(token, key_of, algorithms=list(_ALGORITHMS)).claims
    except (JoseError, ValueError, TypeError) as error:
        raise IdTokenError(f"the ID token does not verify: {error}") from None
    _check(claims, issuer=issuer, client_id=client_id, nonce=nonce, now=now)
    return claims


def _check(
    claims: Mapping[str, Any], *, issuer: str, client_id: str, nonce: str, now: datetime
) -> None:
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if claims.get("iss") != issuer:
        raise IdTokenError("the ID token is of another issuer")
    if not isinstance(audiences, list) or client_id not in audiences:
        raise IdTokenError("the ID token is for another client")
    if claims.get("azp", None if len(audiences) > 1 else client_id) != client_id:
        raise IdTokenError("the ID token was given to another client")
    if _moment(claims, "exp") <= now.timestamp() - LEEWAY_S:
        raise IdTokenError("the ID token has expired")
    if _moment(claims, "iat") > now.timestamp() + LEEWAY_S:
        raise IdTokenError("the ID token is from the future")
    said = claims.get("nonce")
    if not isinstance(said, str) or not hmac.compare_digest(said.encode(), nonce.encode()):
        raise IdTokenError("the ID token belongs to another login")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _MAX_SUBJECT:
        raise IdTokenError("the ID token names nobody")


def _moment(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    # A range also keeps out what is no number at all, which some JSON readers let through.
    if isinstance(value, bool) or not (
        isinstance(value, int | float) and 0 <= value < _END_OF_TIME
    ):
        raise IdTokenError(f"the ID token has no {name}")
    return float(value)
