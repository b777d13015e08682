"""Dialling several addresses of one region: the first that welcomes us wins."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from relay.dial import DialError, RelayClient

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable

    from relay.dial import RelayAddress

__all__ = ["first_welcome"]

NEXT_S: Final = 1.5
"""An address that has not answered within this is joined by the next (relay reference 1.3)."""


async def first_welcome(
    addresses: Iterable[RelayAddress],
    dial: Callable[[RelayAddress], Coroutine[Any, Any, RelayClient]],
) -> RelayClient:
    """Dial addresses in turn, the next as soon as one fails or is slow; close all but the first.

    Raises DialError that says of each why not, and of no address at all nothing.
    """
    waiting = list(addresses)
    dials: set[asyncio.Task[RelayClient]] = set()
    errors: list[str] = []
    winner: RelayClient | None = None

    try:
        while winner is None and (waiting or dials):
            if waiting:
                dials.add(asyncio.create_task(dial(waiting.pop(0))))
            done, _ = await asyncio.wait(
                dials,
                timeout=NEXT_S if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                try:
                    winner = winner or task.result()
                except DialError as error:
                    errors.append(str(error))
                    dials.discard(task)
    finally:
        for task in dials:
            task.cancel()
        for late in await asyncio.gather(*dials, return_exceptions=True):
            if isinstance(late, RelayClient) and late is not winner:
                late.close()
    if winner is None:
        raise DialError("; ".join(errors))
    return winner
