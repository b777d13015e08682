from __future__ import annotations

from engine.netset import IpSet
from engine.netset.constants import (
    ANY_SET,
    CGNAT,
    CHROMEOS_HOLE,
    FOUR_VIA_SIX,
    INTERNET_SET,
    LINK_LOCAL,
    METADATA_ADDRESS,
    MULTICAST,
    PRIVATE_V4,
    SERVICE_ADDRESSES,
    TAILNET_SET,
    TAILNET_ULA,
    WILDCARD_SOURCE_SET,
)


def test_the_wildcard_source_is_the_tailnet_without_the_chromeos_hole() -> None:
    assert TAILNET_SET - IpSet.of_prefixes([CHROMEOS_HOLE]) == WILDCARD_SOURCE_SET


def test_the_internet_is_what_is_neither_private_nor_tailnet_nor_link_local() -> None:
    inside = IpSet.of_prefixes([*PRIVATE_V4, CGNAT, *LINK_LOCAL])
    assert (ANY_SET - inside) & IpSet.of("0.0.0.0/0", "2000::/3") == INTERNET_SET


def test_loopback_and_multicast_stay_in_the_internet() -> None:
    assert IpSet.of("127.0.0.0/8", "0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4").issubset(INTERNET_SET)


def test_sites_and_services_lie_in_the_tailnet() -> None:
    assert TAILNET_ULA.covers(FOUR_VIA_SIX)
    assert all(address in TAILNET_SET for address in SERVICE_ADDRESSES)


def test_the_metadata_address_is_link_local() -> None:
    assert LINK_LOCAL[0].contains(*METADATA_ADDRESS)


def test_multicast_is_one_block_for_each_version() -> None:
    assert [str(prefix) for prefix in MULTICAST] == ["224.0.0.0/4", "ff00::/8"]
