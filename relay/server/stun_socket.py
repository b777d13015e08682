"""The STUN responder's UDP socket: answers from the very address it was asked on."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address

from relay.stun import NotStunError, respond

__all__ = ["StunSocket", "open_stun"]

BATCH = 64
"""Datagrams handled before other work of the loop gets a turn."""

_IP_PKTINFO = 8
_IPV6_RECVPKTINFO = 49
_IPV6_PKTINFO = 50


async def open_stun(host: str, port: int) -> list[StunSocket]:
    """Open what answers at a host, as a TCP listener of that host would, and start it.

    An empty host means both families, a name all its addresses. Raises OSError, and then leaves
    nothing open.
    """
    if host:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    else:
        # One socket for both; hosts without IPv6 cannot make one.
        addresses = ["::" if socket.has_dualstack_ipv6() else "0.0.0.0"]  # noqa: S104  public
    opened: list[StunSocket] = []
    try:
        for address in addresses:
            opened.append(StunSocket(address, port))
            opened[-1].start()
    except BaseException:
        for stun in opened:
            stun.close()
        raise
    return opened


class StunSocket:
    """One bound UDP socket. On a wildcard address it notes which local address was asked."""

    def __init__(self, host: str, port: int) -> None:
        """Bind to an address; `::` takes IPv4 too. Raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)  # noqa: FBT003  the standard library has no keyword here
        try:
            self._bind(host, port)
        except BaseException:
            self._socket.close()
            raise
        self.requests: dict[str, int] = {
            "success": 0,
            "not_stun": 0,
            "read_error": 0,
            "write_error": 0,
        }
        self.families: dict[str, int] = {"ipv4": 0, "ipv6": 0}

    def _bind(self, host: str, port: int) -> None:
        ours = self._socket
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if ours.family == socket.AF_INET6:
            ours.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            ours.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        else:
            ours.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        ours.bind((host, port))

    @property
    def port(self) -> int:
        """The port it is bound to."""
        port: int = self._socket.getsockname()[1]
        return port

    def start(self) -> None:
        """Answer from now on, in the running loop."""
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def close(self) -> None:
        """Stop answering."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _read(self) -> None:
        for _ in range(BATCH):
            try:
                datagram, control, _flags, peer = self._socket.recvmsg(1500, 256)
            except BlockingIOError:
                return
            except OSError:
                self.requests["read_error"] += 1
                return
            self._answer(datagram, control, peer)

    def _answer(
        self, datagram: bytes, control: list[tuple[int, int, bytes]], peer: tuple[str, int]
    ) -> None:
        address = ip_address(peer[0].partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        try:
            reply = respond(datagram, address, peer[1])
        except NotStunError:
            self.requests["not_stun"] += 1
            return
        try:
            self._socket.sendmsg([reply], _reply_control(control), 0, peer)
        except OSError:
            self.requests["write_error"] += 1
            return
        self.requests["success"] += 1
        self.families["ipv4" if address.version == 4 else "ipv6"] += 1


def _reply_control(control: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """Turn what the kernel said of the arrival into where the reply must leave from."""
    for level, kind, data in control:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            # struct in_pktinfo: interface, local address, header address. Interface 0 lets
            # routing decide; the middle field is the source of what we send.
            return [(level, kind, bytes(4) + data[4:8] + bytes(4))]
        if (level, kind) == (socket.IPPROTO_IPV6, _IPV6_PKTINFO):
            return [(level, kind, data)]
    return []
