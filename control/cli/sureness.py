"""Asking before what cannot be undone."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from control.errors import InvalidRequestError

if TYPE_CHECKING:
    import argparse

__all__ = ["is_sure"]


def is_sure(options: argparse.Namespace, what: str) -> bool:
    """Ask whether to do something; raises InvalidRequestError where nobody is there to answer."""
    if options.force:
        return True
    if not sys.stdin.isatty():
        raise InvalidRequestError(f"{what}? Nobody is there to ask: say --force to do it")
    print(f"{what}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
