"""wg-quick configuration files: sections, keys and values as wg(8) and wg-quick(8) read them.

Every key that those two know is understood; any other is an error that names file and line.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from node.wireguard.keys import InvalidKeyError, SecretKey, decode_key, encode_key

if TYPE_CHECKING:
    from collections.abc import Callable

IPInterface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

TABLE_AUTO = -1
TABLE_OFF = -2

_NAME = re.compile(r"[A-Za-z0-9_=+.-]{1,15}")
_MARK_TOP = 0xFFFFFFFF
_PORT_TOP = 0xFFFF
_MTU_LEAST = 68


class ConfigError(Exception):
    """The file cannot be used; the message names the line and what to do."""


class HostError(Exception):
    """The host could not be set up; the message says at which step."""


@dataclass(slots=True)
class InterfaceSection:
    """`[Interface]`."""

    private_key: SecretKey | None = None
    listen_port: int = 0
    fwmark: int = 0
    addresses: list[IPInterface] = field(default_factory=list)
    dns: list[str] = field(default_factory=list)
    """Servers and search domains, as given."""
    mtu: int | None = None
    table: int = TABLE_AUTO
    """Routing table number, TABLE_AUTO or TABLE_OFF."""
    pre_up: list[str] = field(default_factory=list)
    post_up: list[str] = field(default_factory=list)
    pre_down: list[str] = field(default_factory=list)
    post_down: list[str] = field(default_factory=list)
    save_config: bool = False


@dataclass(slots=True)
class PeerSection:
    """`[Peer]`."""

    public_key: bytes = b""
    preshared_key: SecretKey | None = None
    allowed_ips: list[IPNetwork] = field(default_factory=list)
    endpoint: str = ""
    """`host:port` as given; the host may be a name."""
    persistent_keepalive_s: int = 0
    line: int = 0


@dataclass(slots=True)
class WgQuickConfig:
    """A whole file."""

    interface: InterfaceSection
    peers: list[PeerSection]


def interface_name(path_stem: str) -> str:
    """Return the interface that a file is for. Raises ConfigError."""
    if not _NAME.fullmatch(path_stem):
        raise ConfigError(
            f"{path_stem!r} is no interface name: name the file NAME.conf with 1 to 15 letters, "
            "digits or _=+.- in NAME, or give --name"
        )
    return path_stem


def parse(text: str) -> WgQuickConfig:
    """Read a file's text. Raises ConfigError."""
    interface: InterfaceSection | None = None
    peers: list[PeerSection] = []
    section: InterfaceSection | PeerSection | None = None
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.partition("#")[0].strip()
        if not line:
            continue
        match line.lower():
            case "[interface]":
                section = interface = interface or InterfaceSection()
            case "[peer]":
                section = PeerSection(line=number)
                peers.append(section)
            case _:
                _assign(section, line, number)
    if interface is None or interface.private_key is None:
        raise ConfigError("an [Interface] section with a PrivateKey is missing")
    for peer in peers:
        if not peer.public_key:
            raise ConfigError(f"line {peer.line}: this [Peer] has no PublicKey")
    return WgQuickConfig(interface, peers)


def _assign(section: InterfaceSection | PeerSection | None, line: str, number: int) -> None:
    key, equals, value = (part.strip() for part in line.partition("="))
    if not equals or section is None:
        raise ConfigError(f"line {number}: expected [Interface], [Peer] or KEY = VALUE: {key!r}")
    try:
        if isinstance(section, InterfaceSection):
            _assign_interface(section, key, value)
        else:
            _assign_peer(section, key, value)
    except (ValueError, InvalidKeyError) as error:
        # The value is not repeated: it may be a key.
        raise ConfigError(f"line {number}: {key}: {error}") from None


def _assign_interface(section: InterfaceSection, key: str, value: str) -> None:
    match key.lower():
        case "privatekey":
            section.private_key = SecretKey.from_text(value)
        case "listenport":
            section.listen_port = _number(value, 0, _PORT_TOP)
        case "fwmark":
            section.fwmark = 0 if value == "off" else _number(value, 0, _MARK_TOP)
        case "address":
            section.addresses += [ipaddress.ip_interface(item) for item in _items(value)]
        case "dns":
            section.dns += _items(value)
        case "mtu":
            section.mtu = _number(value, _MTU_LEAST, _PORT_TOP)
        case "table":
            section.table = _table(value)
        case "preup":
            section.pre_up.append(value)
        case "postup":
            section.post_up.append(value)
        case "predown":
            section.pre_down.append(value)
        case "postdown":
            section.post_down.append(value)
        case "saveconfig":
            section.save_config = _boolean(value)
        case _:
            raise ValueError("no such key in [Interface]; see wg-quick(8) for those there are")


def _assign_peer(section: PeerSection, key: str, value: str) -> None:
    match key.lower():
        case "publickey":
            section.public_key = decode_key(value)
        case "presharedkey":
            section.preshared_key = SecretKey.from_text(value)
        case "allowedips":
            section.allowed_ips += [
                ipaddress.ip_network(item, strict=False) for item in _items(value)
            ]
        case "endpoint":
            section.endpoint = _endpoint(value)
        case "persistentkeepalive":
            section.persistent_keepalive_s = 0 if value == "off" else _number(value, 0, _PORT_TOP)
        case _:
            raise ValueError("no such key in [Peer]; see wg(8) for those there are")


def _items(value: str) -> list[str]:
    return [item.strip() for item in value.split(",") if item.strip()]


def _number(value: str, least: int, most: int) -> int:
    try:
        number = int(value, 0)
    except ValueError:
        raise ValueError(f"expected a number from {least} to {most}") from None
    if not least <= number <= most:
        raise ValueError(f"expected a number from {least} to {most}")
    return number


def _table(value: str) -> int:
    names: dict[str, int] = {"auto": TABLE_AUTO, "off": TABLE_OFF, "main": 254, "default": 253}
    named = names.get(value.lower())
    return _number(value, 1, _MARK_TOP) if named is None else named


def _boolean(value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise ValueError("expected true or false")
    return value.lower() == "true"


def _endpoint(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not colon or not host:
        raise ValueError("expected HOST:PORT")
    _number(port, 1, _PORT_TOP)
    if host.startswith("[") != host.endswith("]") or (":" in host and host[0] != "["):
        raise ValueError("write an IPv6 endpoint as [ADDRESS]:PORT")
    return value


def render(config: WgQuickConfig, resolve: Callable[[PeerSection], str]) -> str:
    """Write a file's text for SaveConfig; `resolve` gives each peer's present endpoint."""
    interface = config.interface
    lines = ["[Interface]"]
    lines += [f"Address = {address}" for address in interface.addresses]
    if interface.dns:
        lines.append(f"DNS = {', '.join(interface.dns)}")
    if interface.mtu is not None:
        lines.append(f"MTU = {interface.mtu}")
    if interface.table != TABLE_AUTO:
        lines.append(f"Table = {'off' if interface.table == TABLE_OFF else interface.table}")
    lines.append("SaveConfig = true")
    for key, hooks in (
        ("PreUp", interface.pre_up),
        ("PostUp", interface.post_up),
        ("PreDown", interface.pre_down),
        ("PostDown", interface.post_down),
    ):
        lines += [f"{key} = {hook}" for hook in hooks]
    if interface.listen_port:
        lines.append(f"ListenPort = {interface.listen_port}")
    if interface.fwmark:
        lines.append(f"FwMark = {interface.fwmark:#x}")
    if interface.private_key is not None:
        lines.append(f"PrivateKey = {interface.private_key.reveal_text()}")
    for peer in config.peers:
        lines += ["", "[Peer]", f"PublicKey = {encode_key(peer.public_key)}"]
        if peer.preshared_key is not None:
            lines.append(f"PresharedKey = {peer.preshared_key.reveal_text()}")
        if peer.allowed_ips:
            lines.append(f"AllowedIPs = {', '.join(map(str, peer.allowed_ips))}")
        endpoint = resolve(peer)
        if endpoint:
            lines.append(f"Endpoint = {endpoint}")
        if peer.persistent_keepalive_s:
            lines.append(f"PersistentKeepalive = {peer.persistent_keepalive_s}")
    return "\n".join(lines) + "\n"
