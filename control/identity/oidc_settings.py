"""Configuration of the login through an OpenID Connect provider."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  pydantic reads the annotation at run time
from typing import Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator

from control.errors import InvalidRequestError
from control.store.records import Role  # noqa: TC001  pydantic reads the annotation at run time

__all__ = ["Oidc"]

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class Oidc(BaseModel):
    """Login through an OpenID Connect provider, with PKCE (S256) always.

    Register `SERVER_URL/oidc/callback` as redirect URI there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    issuer: str
    """The provider's URL, exactly as its tokens spell it; https, or http on loopback."""
    client_id: str
    """The name under which the provider knows the server."""
    client_secret: SecretStr | None = None
    """What proves it to the provider; better in a file or the environment."""
    client_secret_path: Path | None = None
    """File with the secret, instead of `client_secret`; neither for a public client."""
    scope: tuple[str, ...] = ("openid", "profile", "email")
    """What to ask for; some providers want one more for groups."""
    extra_params: dict[str, str] = {}
    """More parameters of the authorisation request, such as `domain_hint`."""
    email_verified_required: bool = True
    """Refuse people whose address the provider has not verified. Without this, whoever may choose
    their own address at the provider chooses whom the policy takes them for."""
    allowed_domains: tuple[str, ...] = ()
    """Mail domains; empty for all."""
    allowed_users: tuple[str, ...] = ()
    """Mail addresses; empty for all."""
    allowed_groups: tuple[str, ...] = ()
    """Groups of the provider, one of which is needed, as `name@domain`; empty for all."""
    groups_claim: str = "groups"
    """Claim of the ID token that names the groups."""
    group_domain: str = ""
    """Domain of groups that the provider names without one; the issuer's host where empty. The
    group `eng` is `group:eng@GROUP_DOMAIN` in acls, grants, ssh and wherever else a policy names
    groups, without a definition in the file."""
    roles: dict[str, Role] = {}
    """Group as `name@domain` to role. Where given, it decides at every login: the highest role
    that matches, or `member`."""
    use_expiry_from_token: bool = False
    """End a node key's life with the ID token's instead of after `node.expiry`."""

    @model_validator(mode="after")
    def _check(self) -> Oidc:
        parts = urlsplit(self.issuer)
        is_local = parts.scheme == "http" and parts.hostname in _LOOPBACK
        if not parts.hostname or not (parts.scheme == "https" or is_local):
            raise ValueError("issuer: an https URL, or http on loopback")
        if parts.query or parts.fragment:
            raise ValueError("issuer: a URL without query and fragment")
        if not self.client_id:
            raise ValueError("client_id: the name under which the provider knows this server")
        if "openid" not in self.scope:
            raise ValueError("scope: openid is needed, or the provider gives no ID token")
        if self.client_secret is not None and self.client_secret_path is not None:
            raise ValueError("client_secret and client_secret_path: one of them at most")
        return self

    @property
    def groups_at(self) -> str:
        """Domain of groups that have none of their own."""
        return self.group_domain or urlsplit(self.issuer).hostname or ""

    def secret(self) -> str:
        """Return the client's secret, or nothing; raises InvalidRequestError for a bad file."""
        if self.client_secret is not None:
            return self.client_secret.get_secret_value()
        if self.client_secret_path is None:
            return ""
        try:
            return self.client_secret_path.read_text("utf-8").strip()
        except OSError as error:
            raise InvalidRequestError(f"{self.client_secret_path}: {error.strerror}") from None
