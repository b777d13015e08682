"""Debian's miniupnpd on a router of the NAT laboratory: PCP, NAT-PMP and UPnP by other hands.

The laboratory's own public addresses are reserved for documents, and miniupnpd maps none of those;
the router therefore holds one more, which exists nowhere outside of the namespaces.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from node.demo.network import wait_until
from tests.support.natlab import ROUTER, WAN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.natlab import NatLab

PUBLIC = {"A": "11.0.113.101", "B": "11.0.113.102"}
_READY_S = 10.0
_CHAINS = """table inet igd {
  chain forward { type filter hook forward priority 0; policy accept; jump miniupnpd
  }
  chain prerouting { type nat hook prerouting priority -100; policy accept; jump pre_miniupnpd
  }
  chain postrouting { type nat hook postrouting priority 100; policy accept; jump post_miniupnpd
  }
  chain miniupnpd {
  }
  chain pre_miniupnpd {
  }
  chain post_miniupnpd {
  }
}
"""
_CONFIG = """ext_ifname=w
ext_ip={public}
listening_ip=lan0
port={http_port}
enable_natpmp={datagrams}
enable_upnp=yes
secure_mode=yes
system_uptime=no
min_lifetime=120
max_lifetime=86400
uuid=73a9cb68-a00b-4d89-8412-2b2c1c9c6b3c
upnp_table_name=igd
upnp_nat_table_name=igd
upnp_forward_chain=miniupnpd
upnp_nat_chain=pre_miniupnpd
upnp_nat_postrouting_chain=post_miniupnpd
allow 1024-65535 {lan} 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
"""
_NO_PCP = """table ip nopcp {
  chain input { type filter hook input priority -10; policy accept;
    iifname "lan0" udp dport 5351 @th,64,8 2 drop
  }
}
"""


def is_possible() -> bool:
    """Whether Debian's miniupnpd-nftables is installed."""
    return shutil.which("miniupnpd") is not None


class UpnpRouter:
    """A router that maps ports on request."""

    def __init__(self, lab: NatLab, side: str, directory: Path, *, datagrams: bool = True) -> None:
        """`datagrams` turns PCP and NAT-PMP on beside UPnP."""
        self._lab = lab
        self._name = ROUTER[side]
        self._config = directory / f"miniupnpd-{side}.conf"
        self._log = directory / f"miniupnpd-{side}.log"
        self._process: subprocess.Popen[bytes] | None = None
        number = "AB".index(side) + 1
        self._lan = f"192.168.{number}.1"
        self.public = PUBLIC[side]
        text = _CONFIG.format(
            public=self.public,
            http_port=5000,
            datagrams="yes" if datagrams else "no",
            lan=f"192.168.{number}.0/24",
        )
        self._config.write_text(text)

    def start(self) -> None:
        """Start it without any mapping; returns when it serves HTTP."""
        self._lab.inside(self._name, "nft", "-f", "-", text=_CHAINS)
        command = ("miniupnpd", "-d", "-f", str(self._config), "-P", f"{self._config}.pid")
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(
                self._lab.command(self._name, *command), stdout=out, stderr=out
            )
        wait_until(self._is_serving, "miniupnpd serves", _READY_S)

    def stop(self) -> None:
        """End it; its mappings go with it, as when a router loses power."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(_READY_S)
        self._lab.inside(self._name, "nft", "delete", "table", "inet", "igd")

    def refuse_pcp(self) -> None:
        """Swallow PCP, so that only the older protocols are answered."""
        self._lab.inside(self._name, "nft", "-f", "-", text=_NO_PCP)

    def mappings(self) -> str:
        """Return the router's forwarding rules."""
        return self._lab.inside(self._name, "nft", "list", "chain", "inet", "igd", "pre_miniupnpd")

    def _is_serving(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"miniupnpd ended: {self._log.read_text()[-2000:]}")
        with self._lab.within(self._name), socket.socket() as probe:
            return probe.connect_ex((self._lan, 5000)) == 0


@contextmanager
def upnp_router(
    lab: NatLab, side: str, directory: Path, *, datagrams: bool = True
) -> Iterator[UpnpRouter]:
    """Run miniupnpd on the router of a side; the other router knows the way to it."""
    router = UpnpRouter(lab, side, directory, datagrams=datagrams)
    other = "B" if side == "A" else "A"
    lab.inside(ROUTER[side], "ip", "addr", "add", f"{router.public}/32", "dev", "w")
    via = ("via", WAN[side], "dev", "w")
    lab.inside(ROUTER[other], "ip", "route", "add", f"{router.public}/32", *via)
    router.start()
    try:
        yield router
    finally:
        router.stop()
