"""MagicDNS labels: made from what a host calls itself, and kept apart (control reference 7.2)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from control.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FALLBACK_LABEL", "check_label", "label_of_hostname", "unique_label"]

MAX_LABEL: Final = 63
MAX_FQDN: Final = 255
FALLBACK_LABEL: Final = "node"
_LOCAL_SUFFIXES: Final = (".local", ".localdomain", ".lan")
_SEPARATORS: Final = frozenset(" .@_")
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


def label_of_hostname(hostname: str) -> str:
    """Return the DNS label for a host's own name; works on bytes, so any name gives a label."""
    for suffix in _LOCAL_SUFFIXES:
        hostname = hostname.removesuffix(suffix)
    raw = hostname.encode(errors="surrogatepass")[:MAX_LABEL]
    # What is not ASCII goes; surrogates stand for it until then.
    text = raw.decode("ascii", errors="surrogateescape")
    while text and not _is_alphanumeric(text[0]):
        text = text[1:]
    while text and not _is_alphanumeric(text[-1]):
        text = text[:-1]
    return "".join(map(_label_character, text)) or FALLBACK_LABEL


def _is_alphanumeric(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _label_character(character: str) -> str:
    if character in _SEPARATORS or character == "-":
        return "-"
    return character.lower() if _is_alphanumeric(character) else ""


def unique_label(wanted: str, is_taken: Callable[[str], bool]) -> str:
    """Return `wanted`, or the first of `wanted-1`, `wanted-2`, ... that is free."""
    if not is_taken(wanted):
        return wanted
    number = 1
    while True:
        suffix = f"-{number}"
        candidate = wanted[: MAX_LABEL - len(suffix)].rstrip("-") + suffix
        if not is_taken(candidate):
            return candidate
        number += 1


def check_label(label: str, base_domain: str) -> None:
    """Raise InvalidRequestError unless an administrator may give a node this name."""
    if not _LABEL.fullmatch(label):
        raise InvalidRequestError(
            f"node name {label!r}: 1 to {MAX_LABEL} of a-z, 0-9 and hyphens, no hyphen at the ends"
        )
    if len(f"{label}.{base_domain}.") > MAX_FQDN:
        raise InvalidRequestError(f"node name {label!r}: too long below {base_domain}")
