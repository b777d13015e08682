"""The text form of keys: a prefix, then hexadecimal digits and nothing around them."""

from __future__ import annotations

__all__ = ["KeyTextError", "decode_text"]


class KeyTextError(ValueError):
    """Text that is not a key of the wanted kind.

    The message never repeats the text: a misplaced private key must not end up in a log.
    """


def decode_text(text: str, prefix: str, length: int, kind: str) -> bytes:
    """Return the `length` bytes that follow `prefix`; hex digits of either case are taken.

    Raises KeyTextError for another prefix, another length or anything that is not a hex digit.
    """
    if not text.startswith(prefix):
        raise KeyTextError(f"{kind}: the text must start with {prefix!r}")
    digits = text[len(prefix) :]
    if len(digits) != 2 * length:
        raise KeyTextError(f"{kind}: {2 * length} hex digits must follow {prefix!r}")
    try:
        raw = bytes.fromhex(digits)
    except ValueError:
        raise KeyTextError(f"{kind}: only hex digits may follow {prefix!r}") from None
    # fromhex skips whitespace, which would come out as a shorter key.
    if len(raw) != length:
        raise KeyTextError(f"{kind}: only hex digits may follow {prefix!r}")
    return raw
