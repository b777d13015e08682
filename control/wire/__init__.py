"""Messages of the control protocol, as both ends read and write them (control reference 3 to 6).

A contract package: models without behaviour. In a delta None means "unchanged", which is not the
same as an empty value; unknown fields are ignored on reading.
"""

from __future__ import annotations

from control.wire._codec import Json, Message, WireError
from control.wire._scalars import ZERO_TIME, Prefix, format_time
from control.wire.derpmap import DerpHomeParams, DerpMap, DerpNode, DerpRegion, read_derp_map
from control.wire.dns import DnsConfig, DnsRecord, Resolver
from control.wire.endpoint import AddrPort, parse_addr_port, usable_endpoints
from control.wire.hostinfo import Hostinfo
from control.wire.map import (
    ClientVersion,
    Debug,
    DisplayMessage,
    MapRequest,
    MapResponse,
    PeerChange,
    PingRequest,
    TkaInfo,
)
from control.wire.node import WireNode
from control.wire.reach import REACH_PATH, Reach, ReachRequest, ReachResponse
from control.wire.register import LOGOUT_TIME, RegisterAuth, RegisterRequest, RegisterResponse
from control.wire.server_key import ServerKeys
from control.wire.ssh import SshAction, SshPolicy, SshPrincipal, SshRule
from control.wire.user import TAGGED_DEVICES, TAGGED_DEVICES_ID, Login, User, UserProfile

__all__ = [
    "LOGOUT_TIME",
    "REACH_PATH",
    "TAGGED_DEVICES",
    "TAGGED_DEVICES_ID",
    "ZERO_TIME",
    "AddrPort",
    "ClientVersion",
    "Debug",
    "DerpHomeParams",
    "DerpMap",
    "DerpNode",
    "DerpRegion",
    "DisplayMessage",
    "DnsConfig",
    "DnsRecord",
    "Hostinfo",
    "Json",
    "Login",
    "MapRequest",
    "MapResponse",
    "Message",
    "PeerChange",
    "PingRequest",
    "Prefix",
    "Reach",
    "ReachRequest",
    "ReachResponse",
    "RegisterAuth",
    "RegisterRequest",
    "RegisterResponse",
    "Resolver",
    "ServerKeys",
    "SshAction",
    "SshPolicy",
    "SshPrincipal",
    "SshRule",
    "TkaInfo",
    "User",
    "UserProfile",
    "WireError",
    "WireNode",
    "format_time",
    "parse_addr_port",
    "read_derp_map",
    "usable_endpoints",
]
