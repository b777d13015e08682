"""DNS configuration of a node (control reference 6). A present one replaces the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from control.wire._codec import Message, list_of, map_of, maybe, message, plain
from control.wire._scalars import BOOL, TEXT

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DnsConfig", "DnsRecord", "Resolver"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolver(Message):
    """Where to send questions: an address, an address and port, or a DoH URL."""

    addr: str = plain("Addr", TEXT, zero="")
    bootstrap_resolution: tuple[str, ...] | None = maybe("BootstrapResolution", list_of(TEXT))
    use_with_exit_node: bool = plain("UseWithExitNode", BOOL, zero=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsRecord(Message):
    """A name that every node answers itself."""

    name: str = plain("Name", TEXT, zero="")
    type: str = plain("Type", TEXT, zero="")
    """`A`, `AAAA`, or empty for whichever the value is."""
    value: str = plain("Value", TEXT, zero="")


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsConfig(Message):
    """Resolvers, routes and names. Without any field it turns DNS management off."""

    resolvers: tuple[Resolver, ...] | None = maybe("Resolvers", list_of(message(Resolver)))
    routes: Mapping[str, tuple[Resolver, ...]] | None = maybe(
        "Routes", map_of(list_of(message(Resolver)))
    )
    """Suffix to resolvers; no resolvers at all make MagicDNS answer."""
    fallback_resolvers: tuple[Resolver, ...] | None = maybe(
        "FallbackResolvers", list_of(message(Resolver))
    )
    domains: tuple[str, ...] | None = maybe("Domains", list_of(TEXT))
    proxied: bool = plain("Proxied", BOOL, zero=False)
    """MagicDNS is on."""
    cert_domains: tuple[str, ...] | None = maybe("CertDomains", list_of(TEXT))
    extra_records: tuple[DnsRecord, ...] | None = maybe("ExtraRecords", list_of(message(DnsRecord)))
    exit_node_filtered_set: tuple[str, ...] | None = maybe("ExitNodeFilteredSet", list_of(TEXT))
