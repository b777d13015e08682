"""A Linux TUN device with the virtio header, and as many offloads as the kernel gives."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from enum import Enum

_TUNSETIFF = 0x400454CA
_TUNSETOFFLOAD = 0x400454D0
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000
_IFF_VNET_HDR = 0x4000
_F_CSUM = 0x01
_F_TSO4 = 0x02
_F_TSO6 = 0x04
_F_USO4 = 0x20
_F_USO6 = 0x40
_NAME_BYTES = 16


class TunError(Exception):
    """The device could not be made; the message says why and what to do."""


class Offloads(Enum):
    """What the kernel leaves to us on reads and takes from us on writes."""

    NONE = 0
    TCP = _F_CSUM | _F_TSO4 | _F_TSO6
    TCP_AND_UDP = _F_CSUM | _F_TSO4 | _F_TSO6 | _F_USO4 | _F_USO6


class Tun:
    """An open TUN device. Each packet has a virtio header before it, whatever the offloads."""

    def __init__(self, name: str, offloads: Offloads = Offloads.TCP_AND_UDP) -> None:
        """Make the device. Raises TunError."""
        if not 0 < len(name.encode()) < _NAME_BYTES:
            raise TunError(f"interface name {name!r}: 1 to 15 bytes")
        try:
            self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise TunError(f"/dev/net/tun: {error.strerror}; load the tun module") from error
        flags = _IFF_TUN | _IFF_NO_PI | _IFF_VNET_HDR
        try:
            fcntl.ioctl(self.fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
        except OSError as error:
            os.close(self.fd)
            raise TunError(_explain(name, error)) from error
        self.name = name
        self.offloads = Offloads.NONE
        self.set_offloads(offloads)

    def set_offloads(self, wanted: Offloads) -> None:
        """Turn offloads on or off; kernels that lack some get what they have."""
        ladder = (Offloads.TCP_AND_UDP, Offloads.TCP, Offloads.NONE)
        for offloads in ladder[ladder.index(wanted) :]:
            try:
                fcntl.ioctl(self.fd, _TUNSETOFFLOAD, offloads.value)
            except OSError as error:
                if error.errno != errno.EINVAL or offloads is Offloads.NONE:
                    raise
            else:
                self.offloads = offloads
                return

    def close(self) -> None:
        """Close the device; the interface goes away."""
        os.close(self.fd)


def _explain(name: str, error: OSError) -> str:
    if error.errno == errno.EPERM:
        return f"{name}: not permitted; run as root or with CAP_NET_ADMIN"
    if error.errno == errno.EBUSY:
        return f"{name}: an interface with this name is in use; choose another or take it down"
    return f"{name}: {error.strerror}"
