"""The UDP sockets: one port on both families, bursts both ways.

A burst is a buffer of datagrams of one size, the last perhaps shorter, to or from one address.
`UDP_SEGMENT` and `UDP_GRO` make it one system call; without them it is a call for each datagram.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING

from node.transport.endpoint import Endpoint

if TYPE_CHECKING:
    from node.wireguard.path import Path

_UDP_SEGMENT = 103
_UDP_GRO = 104
_SO_SNDBUFFORCE = 32
_SO_RCVBUFFORCE = 33
_IPV6_V6ONLY = 26
_BUFFER_BYTES = 7 << 20
_KNOWN_SOURCES = 4096

MAX_SEGMENTS = 64
"""Kernels before 6.9 refuse more."""
MAX_BURST_BYTES = 65507
RECEIVE_BYTES = 65536

_CMSG_SPACE = socket.CMSG_SPACE(4)

# As numbers: an operation on a flag of `socket` makes a new one, which takes a microsecond.
_DONTWAIT = int(socket.MSG_DONTWAIT)
_TRUNCATED = int(socket.MSG_TRUNC)

_NO_WAY = frozenset((errno.EHOSTUNREACH, errno.ENETUNREACH))
_GSO_UNSUPPORTED = (errno.EIO, errno.EINVAL, errno.ENOPROTOOPT, errno.EOPNOTSUPP)


class TransportError(Exception):
    """A socket could not be opened; the message says which and why."""


class UdpTransport:
    """IPv4 and IPv6 sockets on one port.

    Receiving never blocks. Sending may, for as long as the kernel's buffer is full: that is what
    holds the TUN side back.
    """

    def __init__(self, port: int = 0, *, mark: int = 0, segments: bool = True) -> None:
        """Open both families; IPv6 may be missing. Raises TransportError."""
        self._mark = mark
        self.send_errors = 0
        self.knows_no_way = False
        """Whether the last send that failed did so for want of a route, a neighbour, a family."""
        self.gso = False
        self.sockets: list[socket.socket] = []
        self._bound: dict[Endpoint, socket.socket] = {}
        """Addresses that only one other socket reaches, through a NAT; seldom any."""
        v4 = self._open(socket.AF_INET, port)
        self.port: int = v4.getsockname()[1]
        self._by_version = {4: v4}
        self.sockets.append(v4)
        if socket.has_ipv6:
            try:
                v6 = self._open(socket.AF_INET6, self.port)
            except TransportError:
                if port:
                    raise
            else:
                self._by_version[6] = v6
                self.sockets.append(v6)
        # Kernels before 5.0 have neither: every datagram goes and comes by itself.
        self.set_offloads(enabled=segments)
        self._sources: dict[object, Endpoint] = {}
        self._segment_cmsg: dict[int, list[tuple[int, int, bytes]]] = {}

    def _open(self, family: int, port: int) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_V6ONLY, 1)
            if self._mark:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, self._mark)
            sock.bind(("", port))
        except OSError as error:
            sock.close()
            name = "IPv6" if family == socket.AF_INET6 else "IPv4"
            raise TransportError(f"{name} UDP port {port}: {error.strerror}") from error
        _enlarge(sock, socket.SO_RCVBUF, _SO_RCVBUFFORCE)
        _enlarge(sock, socket.SO_SNDBUF, _SO_SNDBUFFORCE)
        return sock

    def receive(self, sock: socket.socket, buffer: memoryview) -> tuple[int, int, Endpoint] | None:
        """Read one burst; returns its bytes, the datagrams' size and the source, or None.

        `buffer` has at least RECEIVE_BYTES.
        """
        try:
            size, control, flags, source = sock.recvmsg_into((buffer,), _CMSG_SPACE, _DONTWAIT)
        except OSError:
            # Nothing there; or an ICMP error for something sent earlier, which this call took off.
            return None
        if flags & _TRUNCATED:
            size = 0
        segment = int.from_bytes(control[0][2], "little") if control else size
        endpoint = self._sources.get(source)
        if endpoint is None:
            if len(self._sources) >= _KNOWN_SOURCES:
                self._sources.clear()
            endpoint = self._sources[source] = Endpoint.from_sockaddr(source)
        return size, segment or size, endpoint

    def send(self, path: Path, burst: memoryview | bytes, segment: int) -> int:
        """Send datagrams of `segment` bytes, the last perhaps shorter; returns how many failed.

        At most MAX_SEGMENTS and MAX_BURST_BYTES.
        """
        if not isinstance(path, Endpoint):
            raise TypeError(f"{path!r} is not a UDP endpoint")
        sock = self._by_version.get(path.ip.version)
        if sock is None:
            self.knows_no_way = True
            return -(-len(burst) // segment)
        if self._bound:
            sock = self._bound.get(path, sock)
        if len(burst) <= segment:
            return self._send_one(sock, path, burst)
        if self.gso:
            control = self._segment_cmsg.get(segment)
            if control is None:
                control = [(socket.IPPROTO_UDP, _UDP_SEGMENT, struct.pack("=H", segment))]
                self._segment_cmsg[segment] = control
            try:
                sock.sendmsg([burst], control, 0, path.address)
            except OSError as error:
                if error.errno not in (*_GSO_UNSUPPORTED, errno.EMSGSIZE):
                    self._note_failed(error)
                    return -(-len(burst) // segment)
                # No checksum offload, an old kernel, or a path with a smaller MTU: try singly. A
                # burst too large for the path says nothing about later ones.
                if error.errno != errno.EMSGSIZE:
                    self.gso = False
            else:
                return 0
        view = memoryview(burst)
        return sum(
            self._send_one(sock, path, view[at : at + segment])
            for at in range(0, len(view), segment)
        )

    def _send_one(self, sock: socket.socket, path: Endpoint, datagram: memoryview | bytes) -> int:
        try:
            sock.sendto(datagram, path.address)
        except OSError as error:
            # WireGuard's timers deal with silence.
            self._note_failed(error)
            return 1
        return 0

    def _note_failed(self, error: OSError) -> None:
        self.send_errors += 1
        self.knows_no_way = error.errno in _NO_WAY

    def set_offloads(self, *, enabled: bool) -> None:
        """Use the kernel's segmentation on both sides, or do without."""
        self.gso = enabled
        for sock in self.sockets:
            self._set_gro(sock, enabled=enabled)

    def _set_gro(self, sock: socket.socket, *, enabled: bool) -> None:
        try:
            sock.setsockopt(socket.IPPROTO_UDP, _UDP_GRO, int(enabled))
        except OSError:
            self.gso = False

    def close(self) -> None:
        """Close the sockets."""
        for sock in self.sockets:
            sock.close()


def _enlarge(sock: socket.socket, option: int, forced: int) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, forced, _BUFFER_BYTES)
    except OSError:
        # Not privileged: as much as the system's limit gives.
        sock.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
