"""The packet path in Python with kernel offloads: `datapath.contract.DataPath`, implemented."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from node.datapath.budget import Budget
from node.datapath.gate import Gate, InstalledFilter
from node.datapath.inbound import Inbound
from node.datapath.outbound import Outbound
from node.datapath.virtio import NO_OFFLOAD

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from engine.netset import IpSet
    from engine.rules import FilterRule
    from node.datapath.contract import PeerConfig
    from node.datapath.installed import Deputy
    from node.datapath.tun import Tun
    from node.transport.udp import UdpTransport
    from node.wireguard.device import Device
    from node.wireguard.events import Event
    from node.wireguard.path import Path
    from node.wireguard.session import Session

_BURSTS = 8


class PythonDataPath:
    """TUN device, sockets, WireGuard machine and gate of one interface."""

    def __init__(
        self,
        tun: Tun,
        transport: UdpTransport,
        device: Device,
        packet_filter: InstalledFilter | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        self.tun = tun
        self.transport = transport
        self.device = device
        self.gate = Gate(device.allowed_ips, packet_filter)
        self.counters = self.gate.counters
        self._inbound = Inbound(tun, device, self.gate)
        self._outbound = Outbound(tun.fd, device, self.gate, transport)
        self._budget = Budget(_BURSTS)
        self._on_event = on_event
        device.sink = self

    # Peers, sessions, filter.

    def set_peer(self, config: PeerConfig, now: float) -> None:
        """Add a peer or change one."""
        peer = self.device.add_peer(config.public_key, config.preshared)
        peer.preshared = config.preshared
        if config.path is not None:
            peer.path = config.path
        held = set(self.device.allowed_ips.networks_of(peer))
        if held != set(config.allowed_ips):
            self.device.allowed_ips.replace(peer, config.allowed_ips)
            self.gate.rejudge()
        if config.persistent_keepalive_s != peer.persistent_keepalive_s:
            self.device.set_persistent_keepalive(peer, config.persistent_keepalive_s, now)

    def remove_peer(self, public_key: bytes) -> None:
        """Forget a peer; its flows are cut as if a filter had."""
        self.device.remove_peer(public_key)
        self.gate.rejudge()

    def install_session(self, session: Session) -> None:
        """Accept messages of a session."""
        self._inbound.sessions[session.local_index] = session

    def forget_session(self, session: Session) -> None:
        """Drop a session."""
        self._inbound.sessions.pop(session.local_index, None)

    def install_rules(
        self, rules: Sequence[FilterRule], local: IpSet, deputy: Deputy | None = None
    ) -> None:
        """Swap the filter. Raises MalformedRuleError; the last good one stays."""
        self.gate.install_rules(rules, local, deputy)

    def remove_filter(self) -> None:
        """Let everything pass."""
        self.gate.install(None)

    # Packets.

    def sources(self) -> dict[int, Callable[[float], bool]]:
        """Return what to wait for beside the TUN device, and what to call when it is readable."""
        return {sock.fileno(): partial(self.from_socket, sock) for sock in self.transport.sockets}

    def from_socket(self, sock: socket.socket, now: float) -> bool:
        """Take what a socket has, up to a budget; True when there may be more."""
        inbound = self._inbound
        receive = self.transport.receive
        more, small = True, 0
        for _ in range(_BURSTS):
            got = receive(sock, inbound.room())
            if got is None:
                more = False
                break
            size, segment, path = got
            inbound.stack(size, segment, path, now)
            if size <= segment:
                small += 1
                if small == self._budget.next:
                    break
        self._budget.settle(small, now, is_empty=not more)
        inbound.finish(now)
        self._carry_out()
        return more

    def from_network(self, burst: memoryview, segment: int, path: Path, now: float) -> None:
        """Take datagrams that came another way than by a socket."""
        self._inbound.buffer[: len(burst)] = burst
        self._inbound.take(len(burst), segment, path, now)
        self._carry_out()

    def from_host(self, now: float) -> bool:
        """Send what the TUN device has, up to a budget; True when there may be more."""
        more = self._outbound.pump(now)
        self._carry_out()
        return more

    # Time.

    def deadline(self) -> float | None:
        """Return when `on_deadline` has something to do."""
        first, second = self.device.deadline(), self.gate.deadline()
        if first is None or second is None:
            return second if first is None else first
        return min(first, second)

    def on_deadline(self, now: float) -> None:
        """Run timers and waiting handshakes, judge and expire flows."""
        due = self.device.deadline()
        if due is not None and due <= now:
            self.device.on_deadline(now)
        due = self.gate.deadline()
        if due is not None and due <= now:
            self.gate.on_deadline(now)
        self._carry_out()

    def _carry_out(self) -> None:
        device, gate = self.device, self.gate
        if device.has_output:
            self._emit()
        while gate.to_local:
            try:
                os.writev(self.tun.fd, (NO_OFFLOAD, gate.to_local.popleft()))
            except OSError:
                self.counters.tun_write_errors += 1

    def _emit(self) -> None:
        device = self.device
        for datagram in device.transmit():
            self.counters.send_errors += self.transport.send(
                datagram.path, datagram.data, len(datagram.data)
            )
        while (event := device.next_event()) is not None:
            if self._on_event is not None:
                self._on_event(event)
