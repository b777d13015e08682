"""A small UDP blaster: 64-byte packets at a steady rate, and a counter for them.

    blaster.py send ADDRESS PORT RATE SECONDS      prints how many were sent
    blaster.py receive ADDRESS PORT                prints how many came, once they stop coming

Calls `sendmmsg` and `recvmmsg` by ctypes, since a Python call for each packet would eat the core
that is to be measured.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
import time

PAYLOAD_BYTES = 64
BATCH = 32
QUIET_S = 0.4
_RECEIVE_BUFFER = 4 << 20
_SO_RCVBUFFORCE = 33


class _Slice(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


class _Header(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_size", ctypes.c_uint32),
        ("slices", ctypes.POINTER(_Slice)),
        ("slice_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    _fields_ = (("header", _Header), ("received", ctypes.c_uint))


def _messages(size: int) -> tuple[ctypes.Array[_Message], list[object]]:
    """Return a batch of messages, and what must stay alive with it."""
    batch = (_Message * BATCH)()
    alive: list[object] = []
    for message in batch:
        data = ctypes.create_string_buffer(size)
        one = _Slice(ctypes.addressof(data), size)
        alive += [data, one]
        message.header.slices = ctypes.pointer(one)
        message.header.slice_count = 1
    return batch, alive


LIBC = ctypes.CDLL(None, use_errno=True)


def send(address: str, port: int, rate: int, seconds: float) -> int:
    """Send at `rate` packets a second; returns how many went."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((address, port))
    batch, alive = _messages(PAYLOAD_BYTES)
    sent, begin = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - begin) < seconds:
        due = int(elapsed * rate) - sent
        if due < BATCH:
            time.sleep(max(0.0, (BATCH - due) / rate - 5e-5))
            continue
        done = LIBC.sendmmsg(sock.fileno(), batch, min(due, BATCH), 0)
        if done < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        sent += done
    del alive
    return sent


def receive(address: str, port: int) -> int:
    """Count packets until none come for a while after the first."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    sock.bind((address, port))
    sock.settimeout(5.0)
    batch, alive = _messages(PAYLOAD_BYTES)
    got = 0
    try:
        sock.recv(PAYLOAD_BYTES)
        got = 1
        sock.settimeout(QUIET_S)
        while True:
            sock.recv(PAYLOAD_BYTES)
            got += 1
            done = LIBC.recvmmsg(sock.fileno(), batch, BATCH, socket.MSG_DONTWAIT, None)
            got += max(done, 0)
    except TimeoutError:
        pass
    del alive
    return got


if __name__ == "__main__":
    if sys.argv[1] == "send":
        print(send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])))
    else:
        print(receive(sys.argv[2], int(sys.argv[3])))
