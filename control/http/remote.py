"""Where requests come from, behind trusted proxies too."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from ipaddress import IPv4Network, IPv6Network

    from aiohttp import web

    Proxies = Sequence[IPv4Network | IPv6Network]

__all__ = ["is_proxy", "remote_finder"]


def is_proxy(proxies: Proxies, address: str) -> bool:
    """Return whether an address is one of a trusted proxy."""
    with suppress(ValueError):
        return any(ip_address(address) in proxy for proxy in proxies)
    return False


def remote_finder(proxies: Proxies) -> Callable[[web.BaseRequest], str]:
    """Return how to tell a client's address, believing only proxies that are trusted."""

    def find(request: web.BaseRequest) -> str:
        remote = request.remote or ""
        with suppress(ValueError):
            if is_proxy(proxies, remote):
                forwarded = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
                return str(ip_address(forwarded))
        return remote

    return find
