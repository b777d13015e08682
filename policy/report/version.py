"""The version of the product, as it was installed."""

from __future__ import annotations

__all__ = ["product_version"]


def product_version() -> str:
    """Return the version of the installed distribution; `0` in a tree that is not installed."""
    # Reading metadata costs more than a whole check of a small policy; few runs ask for it.
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version("postern")
    except PackageNotFoundError:
        return "0"
