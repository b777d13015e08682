"""Runs one plain WireGuard interface until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from engine.netset import Address, IpSet
from node.datapath.contract import PeerConfig
from node.datapath.gate import DENY_ALL
from node.datapath.loop import PacketLoop
from node.datapath.pipeline import PythonDataPath
from node.datapath.tun import Offloads, Tun
from node.filterfile import FilterFileError, parse_filter
from node.localapi.client import run_directory, socket_path
from node.localapi.server import LocalApi
from node.transport.endpoint import Endpoint
from node.transport.udp import UdpTransport
from node.wgquick.config import PeerSection, WgQuickConfig, render
from node.wgquick.host import DEFAULT_MTU, HostSetup, resolve_endpoint
from node.wireguard.device import Device
from node.wireguard.events import Event, HandshakeAbandoned, HandshakeCompleted, PeerRoamed
from node.wireguard.keys import encode_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

LOG = logging.getLogger("postern.wg")
_DENIALS_INTERVAL_S = 1.0
_SECRET_UMASK = 0o077


@dataclass(frozen=True, slots=True)
class Options:
    """How to run an interface, beside its configuration."""

    name: str
    config_path: Path
    filter_path: Path | None = None
    offloads: bool = True


class InterfaceDaemon:
    """One interface: TUN, sockets, packet loop, host setup and local API."""

    def __init__(self, config: WgQuickConfig, options: Options) -> None:
        """Open everything. Raises ConfigError, HostError, TunError or TransportError."""
        interface = config.interface
        if interface.private_key is None:
            raise ValueError("the configuration was not parsed")
        self._config = config
        self._options = options
        self._host = HostSetup(options.name, config)
        offloads = Offloads.TCP_AND_UDP if options.offloads else Offloads.NONE
        self._tun = Tun(options.name, offloads)
        self._transport = UdpTransport(
            interface.listen_port, mark=self._host.mark, segments=options.offloads
        )
        self._device = Device(
            interface.private_key,
            entropy=os.urandom,
            unix_ns=time.time_ns,
            mtu=interface.mtu or DEFAULT_MTU,
        )
        self._local = IpSet.of_addresses(
            Address(address.version, int(address.ip)) for address in interface.addresses
        )
        self.path = PythonDataPath(self._tun, self._transport, self._device, on_event=_log_event)
        self.loop = PacketLoop(self.path)

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Bring the interface up, serve until stopped, take it down."""
        interface = self._config.interface
        self._install_filter()
        self._set_peers()
        self._host.run_hooks(interface.pre_up)
        try:
            await asyncio.to_thread(self._host.apply)
            self.loop.start()
            self._host.run_hooks(interface.post_up)
            await self._serve(on_ready)
            self._host.run_hooks(interface.pre_down)
        finally:
            # In a thread: the netlink library will not run within this one's event loop.
            await asyncio.to_thread(self._take_down)
        self._host.run_hooks(interface.post_down)

    def _install_filter(self) -> None:
        if self._options.filter_path is None:
            return
        # An interface that was asked to filter must never run without: deny until it is read.
        self.path.gate.install(DENY_ALL)
        try:
            parsed = parse_filter(self._options.filter_path.read_text())
        except OSError as error:
            raise FilterFileError(f"{self._options.filter_path}: {error.strerror}") from error
        self.path.install_rules(parsed.rules, parsed.local or self._local)

    def _set_peers(self) -> None:
        now = time.monotonic()
        for section in self._config.peers:
            path = None
            if section.endpoint:
                host, port = resolve_endpoint(section.endpoint)
                path = Endpoint.from_text(host, port)
            self.path.set_peer(
                PeerConfig(
                    public_key=section.public_key,
                    allowed_ips=tuple(section.allowed_ips),
                    path=path,
                    preshared=section.preshared_key,
                    persistent_keepalive_s=section.persistent_keepalive_s,
                ),
                now,
            )

    async def _serve(self, on_ready: Callable[[], None]) -> None:
        api = LocalApi(self.loop, self.path, self._options.name, self._host.mark, self._local)
        runner = web.AppRunner(api.app(), access_log=None)
        await runner.setup()
        directory = run_directory()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        where = socket_path(self._options.name)
        where.unlink(missing_ok=True)
        umask = os.umask(_SECRET_UMASK)
        try:
            await web.UnixSite(runner, str(where)).start()
        finally:
            os.umask(umask)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, api.stopped.set)
        on_ready()
        try:
            async for _ in _until(api.stopped):
                self._tell()
        finally:
            await runner.cleanup()
            where.unlink(missing_ok=True)

    def _tell(self) -> None:
        """Write out denials, and notice a packet loop that died."""
        unwritten = self.path.gate.denials.unwritten
        while unwritten:
            LOG.warning("%s", unwritten.popleft())
        if self.loop.failure is not None:
            raise RuntimeError("the packet loop stopped") from self.loop.failure

    def _take_down(self) -> None:
        try:
            if self._config.interface.save_config:
                self._save()
        finally:
            self.loop.stop()
            self._host.undo()
            self._device.wipe()
            self._transport.close()
            self._tun.close()

    def _save(self) -> None:
        text = render(self._config, self._present_endpoint)
        path = self._options.config_path
        draft = path.with_suffix(".tmp")
        umask = os.umask(_SECRET_UMASK)
        try:
            draft.write_text(text)
        finally:
            os.umask(umask)
        draft.replace(path)

    def _present_endpoint(self, section: PeerSection) -> str:
        peer = self._device.peers.get(section.public_key)
        return section.endpoint if peer is None or peer.path is None else str(peer.path)


async def _until(stopped: asyncio.Event) -> AsyncIterator[None]:
    """Yield every interval until the event is set."""
    while True:
        try:
            async with asyncio.timeout(_DENIALS_INTERVAL_S):
                await stopped.wait()
        except TimeoutError:
            yield
        else:
            return


def _log_event(event: Event) -> None:
    match event:
        case HandshakeCompleted(peer, _):
            LOG.info("peer %s: handshake completed", encode_key(peer))
        case HandshakeAbandoned(peer):
            LOG.warning("peer %s: no answer to the handshake", encode_key(peer))
        case PeerRoamed(peer, path):
            LOG.info("peer %s: now at %s", encode_key(peer), path)
        case _:
            return
