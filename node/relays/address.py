"""How to dial a relay that a DERP map names."""

from __future__ import annotations

import ssl
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from node.proxy.connect import Through
from node.proxy.settings import DIRECT, ProxySettings
from relay.dial import PIN_PREFIX, RelayAddress

if TYPE_CHECKING:
    from collections.abc import Callable

    from control.wire import DerpMap, DerpNode

__all__ = ["relay_addresses", "tls_context"]

_DEFAULT_PORT: Final = 443


def relay_addresses(
    derp_map: DerpMap,
    region: int,
    tls: Callable[..., ssl.SSLContext],
    proxies: ProxySettings = DIRECT,
) -> list[RelayAddress]:
    """Return the relays of a region in the order to try them; none for an unknown region.

    `tls` makes a context, with `verify=False` for a relay whose certificate is pinned. Raises
    ProxyError for a proxy that we cannot speak to.
    """
    found = (derp_map.regions or {}).get(region)
    nodes = (found.nodes or ()) if found is not None else ()
    relays = [node for node in nodes if not node.stun_only]
    return [address for node in relays for address in _addresses(node, tls, proxies)]


def _addresses(
    node: DerpNode, tls: Callable[..., ssl.SSLContext], proxies: ProxySettings
) -> list[RelayAddress]:
    is_pinned = node.cert_name.startswith(PIN_PREFIX)
    port = node.derp_port or _DEFAULT_PORT
    literals = [text for text in (node.ipv4, node.ipv6) if text not in {"", "none"}]
    proxy = proxies.choose("https", (node.host_name, *literals), port)
    hosts = literals
    if proxy is not None:
        # Proxies have lists of names, and perhaps the only resolver that knows them.
        hosts = [node.host_name]
    elif not literals or not node.ipv4:
        hosts = [node.host_name, *literals]
    return [
        RelayAddress(
            host=host,
            port=port,
            connect=Through(proxy) if proxy is not None else None,
            server_name=node.host_name if is_pinned or not node.cert_name else node.cert_name,
            certificate_pin=node.cert_name if is_pinned else "",
            tls=tls(verify=not is_pinned and not node.insecure_for_tests),
        )
        for host in hosts
    ]


@lru_cache(maxsize=4)
def tls_context(authorities: str = "", *, verify: bool) -> ssl.SSLContext:
    """Return the context to dial with; without `verify` a pin must take its place.

    `authorities`, PEM, are trusted besides the system's: a control server with a certificate of
    its own relays under the same one. Reading the system's takes tens of milliseconds, which the
    event loop should not spend at every attempt: contexts are kept. Raises ValueError or
    ssl.SSLError for text that holds no certificate.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if verify and authorities:
        context.load_verify_locations(cadata=authorities)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
