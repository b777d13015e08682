"""The HTTP/1.1 upgrade that carries a handshake (control reference 2.2), as a machine."""

from __future__ import annotations




