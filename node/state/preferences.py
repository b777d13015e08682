"""What a user wants of the node, as `postern up` sets it and the disk keeps it."""

from __future__ import annotations

import ipaddress
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["IPNetwork", "Preferences", "PreferencesError", "parse_routes", "parse_tags"]

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
EXIT_ROUTES: tuple[IPNetwork, ...] = (
    ipaddress.IPv4Network("0.0.0.0/0"),
    ipaddress.IPv6Network("::/0"),
)


class PreferencesError(ValueError):
    """A setting that makes no sense; the message names it and what to write instead."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """Every setting. The defaults are those of a node that was never told anything."""

    login_server: str = ""
    trusted_ca: str = ""
    """Certificates, PEM, to trust for the control server besides the system's."""
    hostname: str = ""
    """Empty for the host's own name."""
    wants_running: bool = False
    """False after `down`."""
    advertise_tags: tuple[str, ...] = ()
    advertise_routes: tuple[str, ...] = ()
    advertise_exit_node: bool = False
    accept_routes: bool = False
    exit_node: str = ""
    """Name or address of a peer; empty for none."""
    exit_node_allow_lan_access: bool = False
    """Whether the networks around this host are reached directly while an exit node is used."""
    accept_dns: bool = True
    shields_up: bool = False
    is_ephemeral: bool = False
    snat_subnet_routes: bool = True

    @property
    def offered_routes(self) -> tuple[IPNetwork, ...]:
        """What the node offers to route, exit routes included."""
        routes = tuple(ipaddress.ip_network(text) for text in self.advertise_routes)
        return routes + (EXIT_ROUTES if self.advertise_exit_node else ())

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read settings; unknown ones are ignored. Raises PreferencesError for wrong types."""
        return cls().changed(
            {field.name: value[field.name] for field in fields(cls) if field.name in value}
        )

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """Return these settings with some replaced. Raises PreferencesError."""
        values: dict[str, Any] = {}
        for name, value in changes.items():
            held = getattr(self, name, None)
            if held is None:
                raise PreferencesError(f"{name}: no such setting")
            if isinstance(held, tuple) and isinstance(value, list | tuple):
                value = tuple(map(str, value))  # noqa: PLW2901  the JSON spelling of a tuple
            if type(value) is not type(held):
                raise PreferencesError(f"{name}: expected {type(held).__name__}")
            values[name] = value
        made = replace(self, **values)
        parse_routes(made.advertise_routes)
        parse_tags(made.advertise_tags)
        return made


def parse_routes(texts: Iterable[str]) -> tuple[str, ...]:
    """Return routes as they go on the wire. Raises PreferencesError, also for host bits."""
    found = []
    for text in texts:
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise PreferencesError(f"route {text!r}: expected a CIDR such as 10.0.0.0/8") from None
        if str(network.network_address) != str(ipaddress.ip_interface(text).ip):
            raise PreferencesError(f"route {text} has host bits set; write {network}")
        if network.prefixlen == 0:
            raise PreferencesError(f"route {text}: use --advertise-exit-node to offer everything")
        found.append(str(network))
    return tuple(dict.fromkeys(found))


def parse_tags(texts: Iterable[str]) -> tuple[str, ...]:
    """Return tags, each once. Raises PreferencesError for what is none."""
    found = tuple(dict.fromkeys(texts))
    for text in found:
        if not text.startswith("tag:") or len(text) == len("tag:"):
            raise PreferencesError(f"tag {text!r}: a tag is written tag:NAME")
    return found
