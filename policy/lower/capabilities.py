"""Names of application capabilities (policy reference 2.4)."""

from __future__ import annotations

import re

__all__ = ["capability_problem"]

_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*/[^\s:]+")
_RESERVED_DOMAIN = "tailscale.com/"
_GRANTABLE = frozenset(
    {
        "drive",
        "golink",
        "kubernetes",
        "pam",
        "relay",
        "secrets",
        "tailsql",
        "tsidp",
        "webui",
    }
)
"""What may be granted under `tailscale.com/cap/`; the rest the service issues itself."""


def capability_problem(name: str) -> tuple[str, str, str] | None:
    """Return code, the service's words and help for what cannot be granted, else None."""
    if not _NAME.fullmatch(name):
        return (
            "POL226",
            "capability name must have the form {domain}/{path}",
            "write it without a scheme, as in `example.com/cap/wiki`",
        )
    if name.startswith(_RESERVED_DOMAIN) and (
        name.removeprefix(f"{_RESERVED_DOMAIN}cap/") not in _GRANTABLE
    ):
        return (
            "POL408",
            "capability name must not be in the tailscale.com domain",
            "use a domain of your own; of `tailscale.com/cap/` only "
            + ", ".join(sorted(_GRANTABLE))
            + " can be granted",
        )
    return None
