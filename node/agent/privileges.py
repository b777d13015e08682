"""What an agent that runs as root gives up before it listens to anybody (capabilities(7)).

It keeps what TUN device, routes, marks and port 53 need; neither it nor what it starts can get the
rest back. Where a service manager has seen to that already there is nothing left to do.
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path
from typing import Final

__all__ = ["KEPT", "give_up_privileges"]

_NET_BIND_SERVICE: Final = 10
_NET_ADMIN: Final = 12
_NET_RAW: Final = 13
KEPT: Final = 1 << _NET_BIND_SERVICE | 1 << _NET_ADMIN | 1 << _NET_RAW
"""As a mask, like in `/proc/self/status`."""
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_VERSION_3: Final = 0x20080522
_LAST: Final = Path("/proc/sys/kernel/cap_last_cap")
_WORD: Final = 0xFFFFFFFF


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Word(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def give_up_privileges() -> None:
    """Drop every other capability for good. Call it before threads start. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    for number in range(int(_LAST.read_text()) + 1):
        is_refused = not KEPT >> number & 1 and libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)
        # Without the right to drop them there are none of them to be had either.
        if is_refused and ctypes.get_errno() != errno.EPERM:
            raise _failure("prctl")
    header = _Header(_VERSION_3, 0)
    words = (_Word * 2)()
    if libc.capget(ctypes.byref(header), words):
        raise _failure("capget")
    for index, word in enumerate(words):
        kept = KEPT >> 32 * index & _WORD
        word.effective &= kept
        word.permitted &= kept
        word.inheritable &= kept
    if libc.capset(ctypes.byref(header), words):
        raise _failure("capset")
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise _failure("prctl")


def _failure(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")
