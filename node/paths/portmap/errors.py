"""What a router's answer can come to."""

from __future__ import annotations

__all__ = ["PortMapError", "RefusedError"]


class PortMapError(Exception):
    """An answer that cannot be read, or that is not for us."""


class RefusedError(PortMapError):
    """The router understood and said no; `code` is the protocol's own."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text} (code {code})")
        self.code = code
