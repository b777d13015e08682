"""`derp`: which relays nodes are told of, and the relay inside the server."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from control.config.values import Duration, Section

__all__ = ["Derp", "DerpNodeConfig", "DerpRegionConfig", "DerpServer"]


class DerpNodeConfig(Section):
    """A relay of a region."""

    name: str
    """Any, unlike the others in the map; shown to people."""
    host_name: str
    """Where to reach it, and the name in its certificate."""
    ipv4: str = ""
    """Address to use in place of DNS; `none` where it has none of this family."""
    ipv6: str = ""
    """The same for IPv6."""
    stun_port: int = 0
    """UDP port of STUN; 0 stands for 3478, -1 for no STUN."""
    derp_port: int = 0
    """TCP port of DERP over TLS; 0 stands for 443."""
    cert_name: str = ""
    """Another name in its certificate, or `sha256-raw:HEX` of the only certificate to accept."""
    insecure_for_tests: bool = False
    """Take any certificate. Never outside a laboratory."""


class DerpRegionConfig(Section):
    """Relays that are meshed with one another."""

    id: Annotated[int, Field(gt=0)]
    """Number, unlike the others in the map; kept for good, as nodes remember it."""
    code: str
    """Short name for people, as in `via DERP(code)`."""
    name: str = ""
    """Long name; the code where empty."""
    nodes: tuple[DerpNodeConfig, ...]
    """Relays, in the order in which nodes try them."""


class DerpServer(Section):
    """The relay inside this server, on its listener."""

    enabled: bool = False
    """Relay between members of the tailnet. Needs an https `server_url`."""
    region_id: Annotated[int, Field(gt=0)] = 999
    """Number of its region, unlike those of `derp.regions`."""
    region_code: str = "control"
    """Short name for people."""
    region_name: str = "Control server"
    """Long name."""
    private_key_path: Path = Path("derp.key")
    """File of the relay's key; made with mode 0600 at the first start."""
    stun_listen_addr: str = "0.0.0.0:3478"
    """UDP address and port of STUN, `:3478` for IPv4 and IPv6; empty for none."""
    ipv4: str = ""
    """Address that nodes are told, where they shall not ask DNS."""
    ipv6: str = ""
    """The same for IPv6."""

    @property
    def stun_address(self) -> tuple[str, int] | None:
        """Host and port of STUN, or None without."""
        if not self.stun_listen_addr:
            return None
        host, _, port = self.stun_listen_addr.rpartition(":")
        return host.strip("[]"), int(port)

    @model_validator(mode="after")
    def _check(self) -> DerpServer:
        port = self.stun_listen_addr.rpartition(":")[2]
        if self.stun_listen_addr and not (port.isascii() and port.isdigit()):
            raise ValueError("stun_listen_addr: an address and port such as 0.0.0.0:3478")
        return self


class Derp(Section):
    """Relays that nodes are told of.

    They come from `urls`, `paths`, `regions` and `server`; of a region that several have, the last
    one counts.
    """

    urls: tuple[str, ...] = ()
    """URLs of DERP maps in JSON. One that does not answer keeps the relays that it named last. Who
    answers there chooses the relays, so prefer https."""
    paths: tuple[Path, ...] = ()
    """YAML files with DERP maps, written as for Headscale: `regions`, by number; a null takes a
    region away."""
    auto_update_enabled: bool = True
    """Read URLs and files again while the server runs."""
    update_frequency: Duration = timedelta(hours=3)
    """How often that is; URLs that did not answer are asked once a minute."""
    regions: tuple[DerpRegionConfig, ...] = ()
    server: DerpServer = DerpServer()

    @model_validator(mode="after")
    def _check(self) -> Derp:
        for url in self.urls:
            parts = urlsplit(url)
            if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
                raise ValueError(
                    "urls: each a URL such as https://relays.example.com/map, without a password"
                )
        if self.update_frequency < timedelta(seconds=1):
            raise ValueError("update_frequency: at least 1s; auto_update_enabled turns it off")
        ids = [region.id for region in self.regions]
        if self.server.enabled:
            ids.append(self.server.region_id)
        twice = {number for number in ids if ids.count(number) > 1}
        if twice:
            raise ValueError(f"regions: each needs an id of its own; {min(twice)} stands twice")
        return self
