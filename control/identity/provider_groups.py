"""Groups of the identity provider, in the spelling in which a policy names them.

A policy writes `group:name@domain` for a group that it does not define (policy reference 2.4).
Records keep `name@domain`; the prefix is put in front where the engine is asked.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MAX_GROUPS", "provider_groups"]

MAX_GROUPS: Final = 1000
_MAX_NAME: Final = 256


def provider_groups(claim: object, domain: str) -> tuple[str, ...]:
    """Return the groups of a token's claim: a list of names, or one name alone.

    A name without a domain gets `domain`, and the slash with which some providers begin a path is
    dropped. What is no text, empty or longer than 256 characters is passed over, and so is what
    comes after the 1000th: a group that is missing grants nothing.
    """
    names = [claim] if isinstance(claim, str) else claim if isinstance(claim, list) else []
    found = (_spelled(name, domain) for name in names if isinstance(name, str))
    return tuple(sorted({name for name in found if name}))[:MAX_GROUPS]


def _spelled(name: str, domain: str) -> str:
    bare = name.strip().removeprefix("group:").removeprefix("/")
    if not bare or len(bare) > _MAX_NAME or bare.startswith("@"):
        return ""
    return bare if "@" in bare else f"{bare}@{domain}"
