"""`/machine/map`: what a node says about itself, and what it is told (control reference 4)."""

# ruff: noqa: RUF009  (the calls in field defaults declare fields; they make no values)

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from control.keys import AttestationPublic, DiscoPublic, NodePublic
from control.wire._codec import (
    Message,
    always,
    list_of,
    map_of,
    maybe,
    message,
    nullable,
    numbered_map_of,
    plain,
    required,
)
from control.wire._scalars import (
    ADDR_PORT,
    ATTESTATION_KEY,
    BASE64,
    BOOL,
    DISCO_KEY,
    FLOAT,
    INT,
    NODE_KEY,
    RAW,
    TEXT,
    TIME,
)
from control.wire.derpmap import DerpMap
from control.wire.dns import DnsConfig
from control.wire.filter import FILTER
from control.wire.hostinfo import HOSTINFO
from control.wire.node import CAP_MAP, WireNode
from control.wire.ssh import SshPolicy
from control.wire.user import UserProfile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from control.wire._codec import Json
    from control.wire.endpoint import AddrPort
    from control.wire.hostinfo import Hostinfo
    from engine.rules import FilterRule

__all__ = [
    "ClientVersion",
    "Debug",
    "DisplayMessage",
    "MapRequest",
    "MapResponse",
    "PeerChange",
    "PingRequest",
    "TkaInfo",
]

MAX_ENDPOINTS_READ: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class MapRequest(Message):
    """A node reports its state, asks for its netmap, or both."""

    version: int = always("Version", INT, zero=0)
    compress: str = plain("Compress", TEXT, zero="")
    """`zstd` or nothing."""
    keep_alive: bool = plain("KeepAlive", BOOL, zero=False)
    node_key: NodePublic = always("NodeKey", NODE_KEY, zero=NodePublic.zero())
    disco_key: DiscoPublic = always("DiscoKey", DISCO_KEY, zero=DiscoPublic.zero())
    stream: bool = plain("Stream", BOOL, zero=False)
    hostinfo: Hostinfo | None = always("Hostinfo", nullable(HOSTINFO), zero=None)
    map_session_handle: str = plain("MapSessionHandle", TEXT, zero="")
    map_session_seq: int = plain("MapSessionSeq", INT, zero=0)
    endpoints: tuple[str, ...] | None = maybe("Endpoints", list_of(TEXT, most=MAX_ENDPOINTS_READ))
    """Unchecked: a node's odd endpoint is dropped, not the whole request."""
    endpoint_types: tuple[int, ...] | None = maybe(
        "EndpointTypes", list_of(INT, most=MAX_ENDPOINTS_READ)
    )
    tka_head: str = plain("TKAHead", TEXT, zero="")
    read_only: bool = plain("ReadOnly", BOOL, zero=False)
    omit_peers: bool = plain("OmitPeers", BOOL, zero=False)
    debug_flags: tuple[str, ...] | None = maybe("DebugFlags", list_of(TEXT, most=100))
    wants_origins: bool = plain("PosternOrigins", BOOL, zero=False)
    """Ours: the node wants to know which lines of the policy its filter comes from."""
    hardware_attestation_key: AttestationPublic | None = maybe(
        "HardwareAttestationKey", ATTESTATION_KEY
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerChange(Message):
    """New values of some fields of one peer; what is None stays as it was."""

    node_id: int = required("NodeID", INT)
    derp_region: int = plain("DERPRegion", INT, zero=0)
    cap: int = plain("Cap", INT, zero=0)
    cap_map: Mapping[str, Json] | None = maybe("CapMap", CAP_MAP)
    endpoints: tuple[AddrPort, ...] | None = maybe("Endpoints", list_of(ADDR_PORT))
    key: NodePublic | None = maybe("Key", NODE_KEY)
    key_signature: bytes | None = maybe("KeySignature", BASE64)
    disco_key: DiscoPublic | None = maybe("DiscoKey", DISCO_KEY)
    online: bool | None = maybe("Online", BOOL)
    last_seen: datetime | None = maybe("LastSeen", TIME)
    key_expiry: datetime | None = maybe("KeyExpiry", TIME)
    """ZERO_TIME: does not expire any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PingRequest(Message):
    """The server asks a node to show that it lives; each URL is answered once."""

    url: str = plain("URL", TEXT, zero="")
    url_is_noise: bool = plain("URLIsNoise", BOOL, zero=False)
    log: bool = plain("Log", BOOL, zero=False)
    types: str = plain("Types", TEXT, zero="")
    ip: str = plain("IP", TEXT, zero="")
    payload: bytes | None = maybe("Payload", BASE64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Debug(Message):
    """Switches that a server may throw in a node."""

    sleep_seconds: float = plain("SleepSeconds", FLOAT, zero=0)
    disable_log_tail: bool = plain("DisableLogTail", BOOL, zero=False)
    exit: int | None = maybe("Exit", INT)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientVersion(Message):
    """Whether the node's release is the newest."""

    running_latest: bool = plain("RunningLatest", BOOL, zero=False)
    latest_version: str = plain("LatestVersion", TEXT, zero="")
    urgent_security_update: bool = plain("UrgentSecurityUpdate", BOOL, zero=False)
    notify: bool = plain("Notify", BOOL, zero=False)
    notify_url: str = plain("NotifyURL", TEXT, zero="")
    notify_text: str = plain("NotifyText", TEXT, zero="")


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayMessage(Message):
    """A warning that a node shows its user."""

    title: str = plain("Title", TEXT, zero="")
    text: str = plain("Text", TEXT, zero="")
    severity: str = plain("Severity", TEXT, zero="")
    """`high`, `medium` or `low`."""
    impacts_connectivity: bool = plain("ImpactsConnectivity", BOOL, zero=False)
    primary_action: Json = maybe("PrimaryAction", RAW)


@dataclass(frozen=True, slots=True, kw_only=True)
class TkaInfo(Message):
    """Where the tailnet lock stands."""

    head: str = plain("Head", TEXT, zero="")
    disabled: bool = plain("Disabled", BOOL, zero=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapResponse(Message):
    """One message of a map stream; None in a field leaves what the node holds as it is."""

    keep_alive: bool = plain("KeepAlive", BOOL, zero=False)
    map_session_handle: str = plain("MapSessionHandle", TEXT, zero="")
    seq: int = plain("Seq", INT, zero=0)
    ping_request: PingRequest | None = maybe("PingRequest", message(PingRequest))
    pop_browser_url: str = plain("PopBrowserURL", TEXT, zero="")
    node: WireNode | None = maybe("Node", message(WireNode))
    derp_map: DerpMap | None = maybe("DERPMap", message(DerpMap))
    peers: tuple[WireNode, ...] | None = maybe("Peers", list_of(message(WireNode)))
    """All peers by ID, unless empty: an empty list changes nothing."""
    peers_changed: tuple[WireNode, ...] | None = maybe("PeersChanged", list_of(message(WireNode)))
    peers_removed: tuple[int, ...] | None = maybe("PeersRemoved", list_of(INT))
    peers_changed_patch: tuple[PeerChange, ...] | None = maybe(
        "PeersChangedPatch", list_of(message(PeerChange))
    )
    peer_seen_change: Mapping[int, bool] | None = maybe("PeerSeenChange", numbered_map_of(BOOL))
    online_change: Mapping[int, bool] | None = maybe("OnlineChange", numbered_map_of(BOOL))
    dns_config: DnsConfig | None = maybe("DNSConfig", message(DnsConfig))
    domain: str = plain("Domain", TEXT, zero="")
    collect_services: bool | None = maybe("CollectServices", BOOL)
    packet_filter: tuple[FilterRule, ...] | None = maybe("PacketFilter", FILTER)
    packet_filters: Mapping[str, tuple[FilterRule, ...] | None] | None = maybe(
        "PacketFilters", map_of(nullable(FILTER))
    )
    filter_origins: Mapping[str, Json] | None = maybe("PosternOrigins", map_of(RAW))
    """Ours, and only for nodes that want origins: new ones of filters that are as they were, by
    the name of the list (`control.wire.filter.FilterOrigins`)."""
    user_profiles: tuple[UserProfile, ...] | None = maybe(
        "UserProfiles", list_of(message(UserProfile))
    )
    health: tuple[str, ...] | None = maybe("Health", list_of(TEXT))
    display_messages: Mapping[str, DisplayMessage | None] | None = maybe(
        "DisplayMessages", map_of(nullable(message(DisplayMessage)))
    )
    ssh_policy: SshPolicy | None = maybe("SSHPolicy", message(SshPolicy))
    control_time: datetime | None = maybe("ControlTime", TIME)
    tka_info: TkaInfo | None = maybe("TKAInfo", message(TkaInfo))
    debug: Debug | None = maybe("Debug", message(Debug))
    control_dial_plan: Json = maybe("ControlDialPlan", RAW)
    client_version: ClientVersion | None = maybe("ClientVersion", message(ClientVersion))
