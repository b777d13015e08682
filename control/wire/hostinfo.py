"""What a node says about its host, kept as it came so that fields unknown here survive."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from control.wire._codec import Codec, Json, WireError, list_of
from control.wire._scalars import PREFIX, TEXT, Prefix

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HOSTINFO", "Hostinfo"]

MAX_ROUTES: Final = 1000
MAX_TAGS: Final = 100

_PEER_KEYS: Final = (
    "OS",
    "OSVersion",
    "Hostname",
    "IPNVersion",
    "ShieldsUp",
    "ShareeNode",
    "IngressEnabled",
    "WireIngress",
    "GoArch",
    "Services",
    "ServicesHash",
    "RoutableIPs",
    "sshHostKeys",
    "AppConnector",
    "PeerRelay",
    "Location",
    "Userspace",
    "UserspaceRouter",
)


def _texts(value: Json, where: str, most: int) -> tuple[str, ...]:
    return () if value is None else list_of(TEXT, most=most).decode(value, where)


@dataclass(frozen=True, slots=True)
class Hostinfo:
    """A node's own description. Reading a part raises WireError if it has another type."""

    raw: Mapping[str, Json] = field(default_factory=dict)
    """The JSON object."""

    @classmethod
    def from_json(cls, value: Json, where: str = "Hostinfo") -> Hostinfo:
        """Check the parts that the server acts on, keep the rest untouched."""
        if not isinstance(value, dict):
            raise WireError(f"{where}: expected an object")
        made = cls(value)
        # Reading every typed part once makes later reads safe.
        _ = made.hostname, made.os, made.routable_ips, made.request_tags, made.preferred_derp
        _ = made.os_version, made.client_version
        return made

    def to_json(self) -> Mapping[str, Json]:
        """Return the JSON object."""
        return self.raw

    @property
    def hostname(self) -> str:
        """Name that the host has for itself."""
        return TEXT.decode(self.raw.get("Hostname") or "", "Hostinfo.Hostname")

    @property
    def os(self) -> str:
        """Operating system, such as `linux`."""
        return TEXT.decode(self.raw.get("OS") or "", "Hostinfo.OS")

    @property
    def os_version(self) -> str:
        """Version of the operating system; on Linux that of the kernel."""
        return TEXT.decode(self.raw.get("OSVersion") or "", "Hostinfo.OSVersion")

    @property
    def client_version(self) -> str:
        """Version of the client, its build behind a hyphen."""
        return TEXT.decode(self.raw.get("IPNVersion") or "", "Hostinfo.IPNVersion")

    @property
    def routable_ips(self) -> tuple[Prefix, ...]:
        """Routes that the node advertises; both `/0` together make it an exit node."""
        value = self.raw.get("RoutableIPs")
        if value is None:
            return ()
        return list_of(PREFIX, most=MAX_ROUTES).decode(value, "Hostinfo.RoutableIPs")

    @property
    def request_tags(self) -> tuple[str, ...]:
        """Tags that the node asks for."""
        return _texts(self.raw.get("RequestTags"), "Hostinfo.RequestTags", MAX_TAGS)

    @property
    def preferred_derp(self) -> int:
        """Home relay region, 0 where the node has not said."""
        net_info = self.raw.get("NetInfo")
        if net_info is None:
            return 0
        if not isinstance(net_info, dict):
            raise WireError("Hostinfo.NetInfo: expected an object")
        region = net_info.get("PreferredDERP", 0)
        if not isinstance(region, int) or isinstance(region, bool) or not 0 <= region < 2**31:
            raise WireError("Hostinfo.NetInfo.PreferredDERP: expected a region number")
        return region

    def for_peers(self) -> Hostinfo:
        """Return what peers may see: a list of parts known to be harmless, nothing else."""
        return Hostinfo({key: self.raw[key] for key in _PEER_KEYS if key in self.raw})


HOSTINFO: Final[Codec[Hostinfo]] = Codec(Hostinfo.to_json, Hostinfo.from_json)
