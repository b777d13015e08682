"""The names and addresses that random policies and inventories are made of.

Few of each, so that rules overlap a lot; next to ends of blocks, where mistakes live.
"""

from __future__ import annotations

DOMAIN = "corp.test"
USERS = {
    "ann@corp.test": "owner",
    "bo@corp.test": "admin",
    "cy@corp.test": "member",
    "di@other.test": "auditor",
    "eve@corp.test": "network-admin",
}
"""Logins with their roles."""
UNKNOWN_USERS = ("ghost@corp.test", "gone@elsewhere.test")
TAGS = ("tag:web", "tag:db", "tag:rtr", "tag:exit", "tag:spare")
GROUPS = ("group:dev", "group:ops", "group:mix", "group:none")
IDP_GROUP = "group:staff@corp.test"
"""A group of the identity provider: no policy says who is in it."""

TAILNET_V4 = (
    "100.64.0.0",
    "100.64.0.9",
    "100.64.0.10",
    "100.64.1.255",
    "100.99.0.1",
    "100.115.91.255",
    "100.115.94.0",
    "100.127.255.255",
    "100.64.0.8",
    "100.101.7.7",
)
TAILNET_V6 = (
    "fd7a:115c:a1e0::",
    "fd7a:115c:a1e0::9",
    "fd7a:115c:a1e0::a",
    "fd7a:115c:a1e0::1ff",
    "fd7a:115c:a1e0:ab12::1",
    "fd7a:115c:a1e0:ffff:ffff:ffff:ffff:ffff",
    "fd7a:115c:a1e0::8",
    "fd7a:115c:a1e0::b",
    "fd7a:115c:a1e0::c",
    "fd7a:115c:a1e0::d",
)
ROUTES = (
    "10.9.0.0/16",
    "10.9.3.0/24",
    "10.9.3.4/32",
    "10.0.0.0/8",
    "192.168.4.0/22",
    "198.51.100.0/24",
    "fd7a:115c:a1e0:b1a:0:7:a09:300/120",
    "fd7a:115c:a1e0:b1a::/64",
    "2001:db8:9::/48",
)
EXIT_ROUTES = ("0.0.0.0/0", "::/0")
HOSTS = {
    "db1": "10.9.3.4",
    "site": "10.9.0.0/16",
    "sloppy": "10.9.3.77/24",
    "wide": "10.0.0.0/8",
    "public": "198.51.100.0/24",
    "resolver": "8.8.8.8",
    "site-six": "fd7a:115c:a1e0:b1a:0:7:a09:300/120",
    "lap": "100.64.0.9",
    "lap-six": "fd7a:115c:a1e0::9/128",
}
LITERALS = (
    "10.9.3.4",
    "10.9.3.0/24",
    "10.9.3.9/29",
    "10.8.0.0/15",
    "192.168.0.0/16",
    "192.168.5.128/25",
    "100.64.0.0/10",
    "100.64.0.8/29",
    "100.64.0.10",
    "100.115.92.1",
    "203.0.113.0/24",
    "198.51.0.0/16",
    "172.0.0.0/8",
    "8.0.0.0/6",
    "2000::/2",
    "169.254.0.0/16",
    "224.0.0.0/4",
    "fd7a:115c:a1e0::/48",
    "fd7a:115c:a1e0::8/125",
    "fd7a:115c:a1e0::a",
    "2001:db8::/32",
    "2001:4860:4860::8888",
    "fd00::/8",
)
STRANGERS = ("8.8.8.8", "192.0.2.1", "127.0.0.1", "2600::1", "fe80::1", "255.255.255.255", "::")
"""Addresses that nothing here names."""
POSTURES: dict[str, list[str] | dict[str, object]] = {
    "posture:linux": ["node:os == 'linux'"],
    "posture:fresh": ["node:osVersion >= '12.3'", "node:os IN ['macos', 'linux']"],
    "posture:scored": {
        "assertions": ["custom:score >= 50"],
        "onFailure": {"message": "talk to security"},
    },
    "posture:unmanaged": ["custom:managed NOT SET", "node:os NOT IN ['windows']"],
    "posture:managed": ["custom:managed == true", "custom:tier != 'bronze'"],
}
ATTRIBUTES: dict[str, tuple[object, ...]] = {
    "node:os": ("linux", "macos", "windows"),
    "node:osVersion": ("12", "12.3", "12.10", "12.3.0", "13"),
    "custom:score": (49, 50, 49.5, "50", True),
    "custom:managed": (True, False),
    "custom:tier": ("bronze", "gold"),
}
PORTS = (
    "*",
    "*",
    "*",
    "22",
    "80",
    "443",
    "8000-8080",
    "1-65535",
    "1",
    "65535",
    "22,443",
    "80-90,80",
)
PROTOCOLS = (*(6,) * 6, *(17,) * 5, 1, 58, 132, 1, 58, 47, 2, 99, 50, 0, 255)
APPS: tuple[dict[str, list[object]], ...] = (
    {"corp.test/cap/files": [{"shares": ["*"]}]},
    {"corp.test/cap/admin": []},
    {"tailscale.com/cap/drive": [{"shares": ["*"], "access": "rw"}]},
    {"tailscale.com/cap/relay": [], "corp.test/cap/files": [{"shares": ["a"]}]},
)
