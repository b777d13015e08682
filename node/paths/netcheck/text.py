"""A report for people, in the shape they know (relay reference 4.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from control.wire import DerpMap, DerpRegion
    from node.paths.netcheck.report import Report
    from node.transport.endpoint import Endpoint

__all__ = ["hard_nat_hint", "render"]


def render(report: Report, derp_map: DerpMap, time_text: str) -> str:
    """Return the report as text; `time_text` is the moment it was made."""
    lines = [
        "",
        "Report:",
        f"\t* Time: {time_text}",
        f"\t* UDP: {_word(report.has_udp)}",
        f"\t* IPv4: {_address(report.global4, report.has_ipv4, '(no addr found)')}",
        f"\t* IPv6: {_address(report.global6, report.has_ipv6, _no_ipv6(report))}",
        f"\t* MappingVariesByDestIP: {_word(report.mapping_varies)}",
        f"\t* PortMapping: {_port_mapping(report)}",
    ]
    if report.captive_portal is not None:
        lines.append(f"\t* CaptivePortal: {_word(report.captive_portal)}")
    lines += _relays(report, derp_map)
    return "\n".join(lines) + "\n"


def hard_nat_hint(report: Report) -> str:
    """Return what an operator can do about a NAT that maps by destination, empty if all is well."""
    if not report.mapping_varies or report.upnp or report.nat_pmp or report.pcp:
        return ""
    return (
        "This network maps each destination to another port, so many peers stay on a relay. "
        "Any of these helps: a static (port-preserving) outbound NAT rule for this host, "
        "NAT-PMP or UPnP on the router, or forwarding one UDP port to it."
    )


def _relays(report: Report, derp_map: DerpMap) -> list[str]:
    regions = derp_map.regions or {}
    if not report.latency_ns:
        return ["\t* Nearest DERP: unknown (no response to latency probes)"]
    nearest = regions.get(report.preferred_region)
    lines = [f"\t* Nearest DERP: {nearest.region_name if nearest else '[none]'}"]
    lines.append("\t* DERP latency:")
    unknown = max(report.latency_ns.values()) + 1
    listed = [(number, region) for number, region in regions.items() if region is not None]
    listed.sort(key=lambda item: (report.latency_ns.get(item[0], unknown), item[0]))
    lines += [_latency_line(report, number, region) for number, region in listed]
    return lines


def _latency_line(report: Report, number: int, region: DerpRegion) -> str:
    latency = report.latency_ns.get(number)
    text = "" if latency is None else f"{round(latency / 1e6, 1):g}ms"
    return f"\t\t- {region.region_code:>3}: {text:<7} ({region.region_name})"


def _address(endpoint: Endpoint | None, has_family: bool, otherwise: str) -> str:  # noqa: FBT001
    if not has_family:
        return otherwise
    return f"yes, {endpoint}" if endpoint else "yes"


def _no_ipv6(report: Report) -> str:
    return "no, but OS has support" if report.os_has_ipv6 else "no, unavailable in OS"


def _port_mapping(report: Report) -> str:
    answers = (("UPnP", report.upnp), ("NAT-PMP", report.nat_pmp), ("PCP", report.pcp))
    if all(found is None for _name, found in answers):
        return "not checked"
    return ", ".join(name for name, found in answers if found)


def _word(value: bool | None) -> str:  # noqa: FBT001  a value to print
    return "" if value is None else str(value).lower()
