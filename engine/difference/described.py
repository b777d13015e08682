"""A difference in names: who loses and gains what, where, and by which rule; as JSON and as lines.

Addresses become the devices that have them, and devices their owners. What no device has stays an
address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from engine.netset.address import Address
from engine.netset.constants import INTERNET_SET, MULTICAST, TAILNET_SET
from engine.netset.ipset import IpSet
from engine.netset.protocols import ICMPV4, ICMPV6, protocol_name
from engine.testing.ssh import Login

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from engine.difference.filters import Service
    from engine.difference.network import AccessChange, Difference, LoginChange
    from engine.directory import Directory, DirectoryNode
    from engine.netset.ports import PortSet
    from engine.origin import Origin

__all__ = ["difference_lines", "difference_to_json"]

_SHOWN = 4
"""How many of several things a line names."""
_PUBLIC = INTERNET_SET - IpSet.of_prefixes(MULTICAST)
"""What an exit node leads to at least."""
_STRENGTH = {Login.DENY: 0, Login.CHECK: 1, Login.ACCEPT: 2}


class _Party(NamedTuple):
    """One end of some access."""

    devices: tuple[int, ...]
    addresses: tuple[str, ...]
    """Ranges with addresses that no device has."""
    through: tuple[int, ...] = ()
    """The devices that lead there, for a destination outside the tailnet."""


class _Row(NamedTuple):
    """Changes that differ in their destinations only."""

    is_added: bool
    who: _Party
    services: tuple[str, ...]
    origins: tuple[Origin, ...]


def difference_to_json(found: Difference) -> dict[str, Any]:
    """Return a difference as values of JSON; the keys are stable."""
    directory = found.directory
    rows = _rows(found)
    access = [
        {
            "change": "added" if row.is_added else "removed",
            "who": _party_to_json(row.who, directory),
            "where": _party_to_json(where, directory),
            "services": list(row.services),
            "rules": [_rule_to_json(origin) for origin in row.origins],
        }
        for row, where in rows
    ]
    logins = [_login_to_json(change, where, directory) for change, where in _login_rows(found)]
    return {
        "same": found.is_empty,
        "losing": _names(item["who"] for item in (*access, *logins) if _is_loss(item)),
        "gaining": _names(item["who"] for item in (*access, *logins) if not _is_loss(item)),
        "access": access,
        "logins": logins,
    }


def difference_lines(spelled: Mapping[str, Any]) -> Iterator[str]:
    """Yield the JSON form as lines for people, losses first, each change with its rule."""
    if spelled["same"]:
        yield "both policies allow the same"
        return
    for is_loss, verdict in ((True, "losing access"), (False, "gaining access")):
        names = spelled["losing" if is_loss else "gaining"]
        yield f"{verdict}: {', '.join(names) or 'nobody'}"
    for is_loss, sign in ((True, "-"), (False, "+")):
        for change in (*spelled["access"], *spelled["logins"]):
            if _is_loss(change) is is_loss:
                who, where = _spell_party(change["who"]), _spell_party(change["where"])
                what = _spell_what(change)
                by = _shortened([_spell_rule(rule) for rule in change["rules"]])
                yield f"{sign} {who} -> {where}: {what}{f'  [{by}]' if by else ''}"


def _rows(found: Difference) -> list[tuple[_Row, _Party]]:
    """Put changes that concern the same devices alike together: both IP versions, receivers."""
    by_receiver: dict[tuple[Any, ...], list[AccessChange]] = {}
    for change in found.access:
        who = _devices(change.sources, found.directory)
        where = _devices(change.destinations, found.directory)
        key = change.is_added, change.receiver, who, where, _spell_services(change), change.origins
        by_receiver.setdefault(key, []).append(change)
    rows: dict[_Row, list[_Party]] = {}
    for (is_added, receiver, who, where, services, origins), changes in by_receiver.items():
        sources = IpSet.union_of(change.sources for change in changes)
        destinations = IpSet.union_of(change.destinations for change in changes)
        row = _Row(is_added, _Party(who, _elsewhere(sources, found.directory)), services, origins)
        reached = _elsewhere(destinations, found.directory)
        rows.setdefault(row, []).append(_Party(where, reached, (receiver,) if reached else ()))
    return [(row, _joined(parties)) for row, parties in rows.items()]


def _login_rows(found: Difference) -> list[tuple[LoginChange, _Party]]:
    alike: dict[LoginChange, list[_Party]] = {}
    for change in found.logins:
        key = change._replace(receiver=-1)
        alike.setdefault(key, []).append(_Party((change.receiver,), ()))
    return [(change, _joined(parties)) for change, parties in alike.items()]


def _joined(parties: Iterable[_Party]) -> _Party:
    known = list(parties)
    return _Party(
        tuple(dict.fromkeys(index for party in known for index in party.devices)),
        tuple(dict.fromkeys(text for party in known for text in party.addresses)),
        tuple(dict.fromkeys(index for party in known for index in party.through)),
    )


def _devices(addresses: IpSet, directory: Directory) -> tuple[int, ...]:
    return tuple(
        node.index for node in directory.nodes if any(ip in addresses for ip in node.addresses)
    )


def _elsewhere(addresses: IpSet, directory: Directory) -> tuple[str, ...]:
    """Return the ranges of a set that are not made of devices' addresses alone."""
    known = IpSet.of_addresses(directory.by_address)
    return tuple(
        str(each) for each in addresses.ranges() if not IpSet.of_ranges([each]).issubset(known)
    )


def _spell_services(change: AccessChange) -> tuple[str, ...]:
    own, other = (ICMPV4, ICMPV6) if change.sources.v4 else (ICMPV6, ICMPV4)
    # Nobody sends the ICMP of one version in the other.
    services = [each for each in change.services if each[0] != other] or change.services
    return tuple(
        _spell_service(service, ports, own)
        for service, ports in sorted(services, key=lambda each: each[0] == own)
    )


def _spell_service(service: Service, ports: PortSet, icmp: int) -> str:
    if isinstance(service, str):
        return service
    if service == icmp:
        return "icmp"
    name = protocol_name(service)
    return name if ports.is_any else f"{name} {ports}"


def _party_to_json(party: _Party, directory: Directory) -> dict[str, Any]:
    spelled: dict[str, Any] = {
        "devices": [_device_to_json(directory.nodes[index]) for index in party.devices],
        "addresses": list(party.addresses),
    }
    if party.through:
        spelled["through"] = [directory.nodes[index].hostname for index in party.through]
    return spelled


def _device_to_json(node: DirectoryNode) -> dict[str, Any]:
    owner: dict[str, Any] = {"tags": list(node.tags)} if node.tags else {"user": node.user}
    return {"name": node.hostname, **owner}


def _rule_to_json(origin: Origin) -> dict[str, Any]:
    return {"section": origin.section, "position": origin.position, "line": origin.line}


def _login_to_json(change: LoginChange, where: _Party, directory: Directory) -> dict[str, Any]:
    addresses = IpSet.of_addresses(map(Address.parse, change.sources))
    who = _Party(_devices(addresses, directory), _elsewhere(addresses, directory))
    return {
        "change": "added" if _STRENGTH[change.after] > _STRENGTH[change.before] else "removed",
        "who": _party_to_json(who, directory),
        "where": _party_to_json(where, directory),
        "accounts": list(change.accounts),
        "before": change.before.value,
        "after": change.after.value,
        "rules": [_rule_to_json(origin) for origin in change.origins],
    }


def _is_loss(change: Mapping[str, Any]) -> bool:
    return bool(change["change"] == "removed")


def _owner(device: Mapping[str, Any]) -> str:
    return ", ".join(device["tags"]) if device.get("tags") else str(device["user"])


def _names(parties: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the owners of devices, and the addresses of those who have none, each once."""
    names: dict[str, None] = {}
    for party in parties:
        names.update((_owner(device), None) for device in party["devices"])
        if not party["devices"]:
            names.update(dict.fromkeys(_outside(party["addresses"]) or ["addresses of no device"]))
    return list(names)


def _outside(addresses: Iterable[str]) -> list[str]:
    """Return those ranges that are not the tailnet's own: what no device has there, nobody uses."""
    return [text for text in addresses if not IpSet.of(text).issubset(TAILNET_SET)]


def _spell_party(party: Mapping[str, Any]) -> str:
    owned: dict[str, list[str]] = {}
    for device in party["devices"]:
        owned.setdefault(_owner(device), []).append(device["name"])
    parts = [f"{owner} ({_shortened(names)})" for owner, names in owned.items()]
    addresses = party["addresses"]
    if addresses and _PUBLIC.issubset(IpSet.of(*addresses)):
        parts.append("the internet")
    else:
        parts.extend(addresses if not parts else _outside(addresses))
    shown = _shortened(parts)
    through = party.get("through")
    return f"{shown} through {_shortened(through)}" if through else shown


def _spell_what(change: Mapping[str, Any]) -> str:
    if "services" in change:
        return ", ".join(change["services"])
    accounts = ["any account but root" if name == "*" else name for name in change["accounts"]]
    return f"ssh as {_shortened(accounts)}: {change['before']} -> {change['after']}"


def _spell_rule(rule: Mapping[str, Any]) -> str:
    if not rule["line"]:
        return "the default of allowing everything"
    return f"{rule['section']}[{rule['position']}], line {rule['line']}"


def _shortened(names: list[str]) -> str:
    more = len(names) - _SHOWN
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown
