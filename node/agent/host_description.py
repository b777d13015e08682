"""What a node tells the control server about itself (control reference 4.8)."""

from __future__ import annotations

import platform
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from control.wire import Hostinfo

if TYPE_CHECKING:
    from node.paths.netcheck.report import Report
    from node.state.preferences import Preferences

__all__ = ["describe", "distribution", "is_news"]


@lru_cache(maxsize=1)
def distribution() -> tuple[str, str]:
    """Return name and version of the Linux distribution, empty where the host does not say."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return "", ""
    return release.get("ID", ""), release.get("VERSION_ID", "")


def is_news(hostinfo: Hostinfo, told: Hostinfo) -> bool:
    """Return whether a description says more than other latencies, which never stay the same."""
    return _without_latencies(hostinfo) != _without_latencies(told)


def _without_latencies(hostinfo: Hostinfo) -> dict[str, Any]:
    network = {k: v for k, v in hostinfo.raw.get("NetInfo", {}).items() if k != "DERPLatency"}
    return {**hostinfo.raw, "NetInfo": network}


def describe(
    preferences: Preferences,
    *,
    host_name: str,
    os_version: str,
    distribution: tuple[str, str],
    machine: str,
    version: str,
    home_region: int,
    report: Report | None,
) -> Hostinfo:
    """Return the description. Without a report, what was said of the network before stays."""
    raw: dict[str, Any] = {
        "IPNVersion": version,
        "OS": "linux",
        "OSVersion": os_version,
        "Distro": distribution[0],
        "DistroVersion": distribution[1],
        "GoArch": machine,
        "Hostname": preferences.hostname or host_name,
        "ShieldsUp": preferences.shields_up,
        "RoutableIPs": [str(route) for route in preferences.offered_routes],
        "RequestTags": list(preferences.advertise_tags),
    }
    if report is not None:
        raw["NetInfo"] = {
            "PreferredDERP": home_region,
            "WorkingUDP": report.has_udp,
            "WorkingIPv6": report.has_ipv6,
            "OSHasIPv6": report.os_has_ipv6,
            "MappingVariesByDestIP": report.mapping_varies,
            "DERPLatency": {
                f"{region}-v4": latency_ns / 1e9 for region, latency_ns in report.latency_ns.items()
            },
        }
    return Hostinfo(raw)
