"""What wg-quick does to the host: addresses, MTU, routes, rules, resolver, hooks.

All of it hangs on the interface and goes with it, but for the policy routing rules and the
resolver's entry, which `undo` takes away.
"""

from __future__ import annotations

import contextlib
import ipaddress
import shutil
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from node.hostnet.netlink import IPRoute, NetlinkError
from node.wgquick.config import TABLE_AUTO, TABLE_OFF, ConfigError, HostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from node.wgquick.config import IPNetwork, WgQuickConfig

DEFAULT_MTU = 1420
_GSO_MAX_BYTES = 61000
"""A super-packet of this size fits one UDP_SEGMENT call whatever the MSS."""
_DEFAULT_MARK = 51820
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_MAIN_TABLE = 254
_SRC_VALID_MARK = Path("/proc/sys/net/ipv4/conf/all/src_valid_mark")


class HostSetup:
    """Applies one configuration to one interface of this network namespace."""

    def __init__(self, name: str, config: WgQuickConfig) -> None:
        self._name = name
        self._config = config
        self._undo: list[Callable[[], None]] = []
        interface = config.interface
        self.needs_default = interface.table == TABLE_AUTO and any(
            network.prefixlen == 0 for peer in config.peers for network in peer.allowed_ips
        )
        self.mark = interface.fwmark or (_DEFAULT_MARK if self.needs_default else 0)
        if interface.dns and shutil.which("resolvconf") is None:
            raise ConfigError(
                "DNS: this host has no resolvconf; install it (openresolv) or leave DNS out"
            )

    def run_hooks(self, commands: list[str]) -> None:
        """Run hook commands as wg-quick does, `%i` being the interface. Raises HostError."""
        for command in commands:
            text = command.replace("%i", self._name)
            finished = subprocess.run(["/bin/bash", "-c", text], check=False)  # noqa: S603  the user's own hook
            if finished.returncode:
                raise HostError(f"hook failed with status {finished.returncode}: {text}")

    def apply(self) -> None:
        """Set everything up. Raises HostError; what was done is undone by `undo`."""
        with IPRoute() as ip:
            try:
                index = ip.link_lookup(ifname=self._name)[0]
                self._apply(ip, index)
            except (NetlinkError, IndexError, OSError) as error:
                raise HostError(f"{self._name}: {error}") from error
        if self._config.interface.dns:
            self._set_dns()

    def undo(self) -> None:
        """Take away what does not go with the interface."""
        while self._undo:
            self._undo.pop()()

    def _apply(self, ip: IPRoute, index: int) -> None:
        interface = self._config.interface
        ip.link("set", index=index, mtu=interface.mtu or DEFAULT_MTU)
        # Old kernels cannot set this: there a super-packet takes two sends.
        with contextlib.suppress(NetlinkError):
            ip.link("set", index=index, gso_max_size=_GSO_MAX_BYTES)
        for address in interface.addresses:
            family = _FAMILIES[address.version]
            ip.addr(
                "add",
                index=index,
                address=str(address.ip),
                prefixlen=address.network.prefixlen,
                family=family,
            )
        ip.link("set", index=index, state="up")
        if interface.table == TABLE_OFF:
            return
        table = _MAIN_TABLE if interface.table == TABLE_AUTO else interface.table
        attached = {address.network for address in interface.addresses}
        networks = {n for peer in self._config.peers for n in peer.allowed_ips}
        for network in sorted(networks, key=lambda n: (n.version, -n.prefixlen, n)):
            if network.prefixlen == 0 and self.needs_default:
                self._route_default(ip, index, network)
            elif network not in attached or table != _MAIN_TABLE:
                _add_route(ip, index, network, table)

    def _route_default(self, ip: IPRoute, index: int, network: IPNetwork) -> None:
        """Send everything but our own datagrams through the tunnel, as wg-quick does."""
        family = _FAMILIES[network.version]
        _add_route(ip, index, network, self.mark)
        if network.version == 4:
            # Where reverse paths are checked, answers to marked datagrams must be looked up marked.
            _SRC_VALID_MARK.write_text("1")
        rules = (
            {"table": _MAIN_TABLE, "suppress_prefixlen": 0, "priority": 32763},
            {"table": self.mark, "fwmark": self.mark, "flags": 2, "priority": 32764},
        )
        for rule in rules:
            ip.rule("add", family=family, **rule)
            self._undo.append(_rule_remover(family, rule))

    def _set_dns(self) -> None:
        servers, domains = [], []
        for item in self._config.interface.dns:
            try:
                servers.append(str(ipaddress.ip_address(item)))
            except ValueError:
                domains.append(item)
        lines = [f"nameserver {server}" for server in servers]
        if domains:
            lines.append(f"search {' '.join(domains)}")
        command = ["resolvconf", "-a", f"tun.{self._name}", "-m", "0", "-x"]
        finished = subprocess.run(  # noqa: S603  fixed command, name checked
            command, input="\n".join(lines) + "\n", text=True, check=False
        )
        if finished.returncode:
            raise HostError(f"resolvconf failed with status {finished.returncode}")
        remove = ["resolvconf", "-d", f"tun.{self._name}", "-f"]
        self._undo.append(lambda: _run_quietly(remove))


def _add_route(ip: IPRoute, index: int, network: IPNetwork, table: int) -> None:
    ip.route("replace", dst=str(network), oif=index, table=table, family=_FAMILIES[network.version])


def _rule_remover(family: int, rule: dict[str, int]) -> Callable[[], None]:
    def remove() -> None:
        with IPRoute() as ip:
            try:
                ip.rule("del", family=family, **rule)
            except NetlinkError:
                # Somebody took it away already.
                return

    return remove


def _run_quietly(command: list[str]) -> None:
    subprocess.run(command, check=False)  # noqa: S603  fixed command, name checked


def resolve_endpoint(text: str) -> tuple[str, int]:
    """Return address and port of `HOST:PORT`, asking the resolver for a name. Raises HostError."""
    host, _, port = text.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)
    except socket.gaierror as error:
        raise HostError(f"Endpoint {text}: {error.strerror}") from error
    return str(found[0][4][0]), int(port)
