"""The ID of the request that is being answered, for logs and for the bodies of errors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from structlog.contextvars import bound_contextvars, get_contextvars

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["request_id"]

_NAME: Final = "request_id"


class _RequestId:
    """Kept where structlog finds it, so that every line logged meanwhile has it."""

    @contextmanager
    def bound(self, value: str) -> Iterator[str]:
        """Let the block answer the request with this ID."""
        with bound_contextvars(**{_NAME: value}):
            yield value

    @property
    def current(self) -> str:
        """The ID of the request being answered, empty outside of one."""
        return str(get_contextvars().get(_NAME, ""))


request_id: Final = _RequestId()
