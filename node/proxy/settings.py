"""Which proxy the environment names for a connection, by the variables that curl and Go read too.

`HTTPS_PROXY` is for what speaks TLS, `HTTP_PROXY` for what does not, `ALL_PROXY` for what has none
of its own; lower case goes before upper case. `NO_PROXY` lists what is reached without: names with
everything under them, addresses, networks, each with a port or without, or `*` for everything.
Loopback never goes through a proxy.
"""

from __future__ import annotations

import base64
import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["DIRECT", "ProxyError", "ProxySettings", "WebProxy"]

_VARIABLES: Final = {
    "https": ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
    "http": ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"),
}
_EXCEPTIONS: Final = ("no_proxy", "NO_PROXY")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class ProxyError(ConnectionError):
    """The proxy cannot be used or does not let us through; the text says what to do about it."""


@dataclass(frozen=True, slots=True)
class WebProxy:
    """A proxy that takes CONNECT. Its credentials are never shown."""

    host: str
    port: int
    variable: str
    """The environment variable that names it."""
    is_secure: bool = False
    """Whether it is spoken to over TLS."""
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str, variable: str) -> Self:
        """Read `[http://][USER:PASSWORD@]HOST[:PORT]`. Raises ProxyError, without the text."""
        try:
            parts = urlsplit(text if "://" in text else f"http://{text}")
            host, port = parts.hostname or "", parts.port
        except ValueError:
            # Its words quote the text, in which a password may stand anywhere.
            raise _no_url(variable) from None
        if parts.scheme not in _DEFAULT_PORTS:
            raise ProxyError(
                f"{variable} names no HTTP proxy: a URL with http:// or https:// is needed there,"
                " or nothing"
            )
        is_more = parts.path.strip("/") or parts.query or parts.fragment
        if is_more or not host or not host.isprintable() or " " in host:
            raise _no_url(variable)
        return cls(
            host,
            port or _DEFAULT_PORTS[parts.scheme],
            variable,
            is_secure=parts.scheme == "https",
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
        )

    @property
    def url(self) -> str:
        """Where it is, without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.is_secure else 'http'}://{host}:{self.port}"

    @property
    def authorization(self) -> str:
        """Value of the Proxy-Authorization header (RFC 7617), empty without credentials."""
        if not self.user and not self.password:
            return ""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def __str__(self) -> str:
        return f"the proxy {self.url} of {self.variable}"


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """The proxies of each scheme, and what is reached without."""

    urls: Mapping[str, tuple[str, str]] = field(default_factory=dict, repr=False)
    """By scheme, the variable and its value, which may hold a password."""
    exceptions: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Take what the environment says; what is wrong with it shows when it is needed."""
        urls: dict[str, tuple[str, str]] = {}
        for scheme, variables in _VARIABLES.items():
            for variable in variables:
                if value := environment.get(variable, "").strip():
                    urls[scheme] = variable, value
                    break
        named = next(filter(None, map(environment.get, _EXCEPTIONS)), "")
        entries = (entry.strip().lower() for entry in named.split(","))
        return cls(urls, tuple(entry for entry in entries if entry))

    def choose(self, scheme: str, names: Iterable[str], port: int) -> WebProxy | None:
        """Return the proxy to a host, known by names and addresses; None for the direct way.

        Raises ProxyError for a proxy that we cannot speak to: going past it is not ours to decide.
        """
        if scheme not in self.urls:
            return None
        if any(_is_loopback(name) or self._excepts(name, port) for name in names):
            return None
        variable, value = self.urls[scheme]
        return WebProxy.parse(value, variable)

    def usable(self) -> tuple[WebProxy, ...]:
        """Return the proxies that connections may go through."""
        found: list[WebProxy] = []
        for variable, value in self.urls.values():
            try:
                found.append(WebProxy.parse(value, variable))
            except ProxyError:
                # Whoever needs that one is told when it does.
                continue
        return tuple(dict.fromkeys(found))

    def _excepts(self, name: str, port: int) -> bool:
        return any(_covers(entry, name.lower().rstrip("."), port) for entry in self.exceptions)


DIRECT: Final = ProxySettings()
"""No proxy for anything."""


def _no_url(variable: str) -> ProxyError:
    return ProxyError(
        f"{variable} is no URL of a proxy, as http://proxy.example:3128 is; in a password write"
        " %2F for /, %40 for @ and so on"
    )


def _covers(entry: str, name: str, port: int) -> bool:
    """Whether an entry of NO_PROXY means a host, given by name or address, at a port."""
    if entry == "*":
        return True
    place, wanted_port = _split_port(entry)
    if wanted_port and wanted_port != str(port):
        return False
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        domain = place.removeprefix("*").strip(".")
        return bool(domain) and (name == domain or name.endswith(f".{domain}"))
    try:
        return address in ipaddress.ip_network(place, strict=False)
    except ValueError:
        return False


def _split_port(entry: str) -> tuple[str, str]:
    if entry.startswith("["):
        place, _, port = entry[1:].partition("]")
        return place, port.removeprefix(":")
    if entry.count(":") == 1:
        place, _, port = entry.partition(":")
        return place, port
    return entry, ""


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
