"""Configuration of the control server: one YAML or TOML file, overridden by the environment.

Every key can be set as `POSTERN_CONTROL_` and its path in capitals, parts joined by two
underscores: `POSTERN_CONTROL_NODE__EXPIRY=180d`. Unknown keys are errors.
"""

from __future__ import annotations

import re
import tomllib
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from control.errors import InvalidRequestError
from control.identity.oidc_settings import Oidc  # noqa: TC001  pydantic needs it at run time
from control.registry.addresses import Allocation, check_pools

__all__ = ["ControlConfig", "load_config", "parse_duration"]

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?[smhdw])+", re.ASCII)
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhdw])", re.ASCII)


def parse_duration(value: Any) -> Any:
    """Return a timedelta for `90d`, `1h30m` or a number of seconds; anything else as it is."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return timedelta(seconds=value)
    if isinstance(value, str):
        if value == "0":
            return timedelta()
        if _DURATION.fullmatch(value):
            return sum(
                (timedelta(seconds=float(n) * _UNITS[unit]) for n, unit in _PART.findall(value)),
                timedelta(),
            )
        raise ValueError("a duration is written as 30s, 15m, 24h or 90d")
    return value


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]


class _Section(BaseModel):
    # Descriptions are what docs/configuration is made of.
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Noise(_Section):
    """The server's identity."""

    private_key_path: Path = Path("noise.key")
    """File of the control key; made with mode 0600 at the first start. Nodes remember this key:
    losing the file makes every node fail until its process restarts."""


class Prefixes(_Section):
    """Where nodes get their addresses from."""

    v4: IPv4Network | None = IPv4Network("100.64.0.0/10")
    """Inside 100.64.0.0/10; null leaves IPv4 out."""
    v6: IPv6Network | None = IPv6Network("fd7a:115c:a1e0::/48")
    """Inside fd7a:115c:a1e0::/48; null leaves IPv6 out."""
    allocation: Allocation = Allocation.SEQUENTIAL
    """`sequential` or `random`."""

    @model_validator(mode="after")
    def _check(self) -> Prefixes:
        try:
            check_pools(self.v4, self.v6)
        except InvalidRequestError as error:
            raise ValueError(str(error)) from None
        return self


class Nameservers(_Section):
    """Resolvers."""

    global_: tuple[str, ...] = Field(default=(), alias="global")
    """For every name, as far as `override_local_dns` says so."""
    split: dict[str, tuple[str, ...]] = {}
    """Domain to the resolvers of its names."""


class ExtraRecord(_Section):
    """A name that nodes answer themselves."""

    name: str
    """The full name."""
    type: Literal["A", "AAAA"]
    """`A` or `AAAA`."""
    value: str
    """The address."""


class Dns(_Section):
    """Names."""

    magic_dns: bool = True
    """Nodes answer each other's names."""
    base_domain: str = "tailnet.internal"
    """Domain of the nodes' names. Must not hold the server's own name."""
    override_local_dns: bool = True
    """Global resolvers replace those of the host; otherwise they only back them up."""
    nameservers: Nameservers = Nameservers()
    search_domains: tuple[str, ...] = ()
    """After the base domain."""
    extra_records: tuple[ExtraRecord, ...] = ()


class DerpNodeConfig(_Section):
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


class DerpRegionConfig(_Section):
    """Relays that are meshed with one another."""

    id: Annotated[int, Field(gt=0)]
    """Number, unlike the others in the map; kept for good, as nodes remember it."""
    code: str
    """Short name for people, as in `via DERP(code)`."""
    name: str = ""
    """Long name; the code where empty."""
    nodes: tuple[DerpNodeConfig, ...]
    """Relays, in the order in which nodes try them."""


class DerpServer(_Section):
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


class Derp(_Section):
    """Relays that nodes are told of."""

    regions: tuple[DerpRegionConfig, ...] = ()
    server: DerpServer = DerpServer()

    @model_validator(mode="after")
    def _check(self) -> Derp:
        ids = [region.id for region in self.regions]
        if self.server.enabled:
            ids.append(self.server.region_id)
        twice = {number for number in ids if ids.count(number) > 1}
        if twice:
            raise ValueError(f"regions: each needs an id of its own; {min(twice)} stands twice")
        return self


class Ephemeral(_Section):
    """Short-lived nodes."""

    inactivity_timeout: Duration = timedelta(minutes=30)
    """How long one may be away before it is deleted; more than 65s."""

    @model_validator(mode="after")
    def _check(self) -> Ephemeral:
        if self.inactivity_timeout <= timedelta(seconds=65):
            raise ValueError("inactivity_timeout: must be more than 65s, a gap between keepalives")
        return self


class Node(_Section):
    """Lives of nodes."""

    expiry: Duration = timedelta()
    """Life of a user's node key; 0 never ends it. Tagged nodes never expire."""
    ephemeral: Ephemeral = Ephemeral()
    approval_required: bool = False
    """New nodes wait until an administrator approves them, unless their auth key is preauthorized.
    The tailnet's own setting, made through the API, goes before this one."""


class ConnectLimit(_Section):
    """How often one address may ask for the control key or open a control connection."""

    burst: Annotated[int, Field(gt=0)] = 2000
    """At once."""
    per_second: Annotated[float, Field(gt=0)] = 100.0
    """After that."""


class RegisterLimit(_Section):
    """How often one address, and one machine, may register, and an address open login pages."""

    burst: Annotated[int, Field(gt=0)] = 200
    """At once."""
    per_second: Annotated[float, Field(gt=0)] = 20.0
    """After that."""


class PolicyConfig(_Section):
    """Where the policy is kept."""

    mode: Literal["database", "file"] = "database"
    """`database`: set through CLI and API, every version kept. `file`: read from `path`."""
    path: Path | None = None
    """The file, in file mode. SIGHUP reads it again."""

    @model_validator(mode="after")
    def _check(self) -> PolicyConfig:
        if (self.mode == "file") != (self.path is not None):
            raise ValueError("path: needed in file mode, and only there")
        return self


class Tls(_Section):
    """Certificate of the server; without one it speaks plain HTTP, behind a proxy with TLS."""

    cert_path: Path | None = None
    """Certificate and chain, PEM."""
    key_path: Path | None = None
    """Private key, PEM."""

    @model_validator(mode="after")
    def _check(self) -> Tls:
        if (self.cert_path is None) != (self.key_path is None):
            raise ValueError("cert_path and key_path: both or neither")
        return self


class Cli(_Section):
    """How the command line reaches a server; without an address, through the Unix socket."""

    address: str = ""
    """URL of a remote server."""
    api_key: SecretStr = SecretStr("")
    """Key for it, made by `postern control apikeys create` there."""
    timeout: Duration = timedelta(seconds=30)
    """How long an answer may take."""
    insecure: bool = False
    """Take any certificate. For trials only: whoever is in between gets the key."""


class Log(_Section):
    """What is logged, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """`debug`, `info`, `warning` or `error`, and what is worse."""
    format: Literal["text", "json"] = "text"
    """`text` for people, `json` for machines: one object a line."""


class ControlConfig(BaseSettings):
    """Everything an operator decides."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="POSTERN_CONTROL_",
        env_nested_delimiter="__",
        use_attribute_docstrings=True,
    )

    server_url: str = "http://127.0.0.1:8080"
    """URL under which nodes and browsers reach the server."""
    listen_addr: str = "127.0.0.1:8080"
    """Address and port to listen on; port 0 chooses one."""
    metrics_listen_addr: str = "127.0.0.1:9090"
    """Where /metrics and /debug are; never the public listener. Empty for nowhere."""
    unix_socket: Path | None = Path("control.sock")
    """Socket of the local API, which asks for no key: whoever may open it is an administrator."""
    unix_socket_permission: str = "0770"
    """Mode of the socket, in octal."""
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    """Proxies whose X-Forwarded-For is believed."""
    database: str = "sqlite:///control.db"
    """`sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`."""
    shutdown_spread: Duration = timedelta(seconds=3)
    """Time over which nodes are sent away at a stop, so that they do not all return at once."""
    noise: Noise = Noise()
    prefixes: Prefixes = Prefixes()
    dns: Dns = Dns()
    derp: Derp = Derp()
    node: Node = Node()
    policy: PolicyConfig = PolicyConfig()
    register_limit: RegisterLimit = RegisterLimit()
    connect_limit: ConnectLimit = ConnectLimit()
    max_connections: Annotated[int, Field(gt=0)] = 65536
    """Connections to the public listener at once, half of them from one address; fewer where the
    system allows fewer open files."""
    tls: Tls = Tls()
    oidc: Oidc | None = None
    """Login through an identity provider; without it an administrator lets nodes in."""
    log: Log = Log()
    cli: Cli = Cli()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file, whose content comes as arguments."""
        _ = settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings

    @model_validator(mode="after")
    def _check(self) -> ControlConfig:
        parts = urlsplit(self.server_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("server_url: a URL such as https://control.example.com")
        domain = self.dns.base_domain
        if parts.hostname == domain or parts.hostname.endswith(f".{domain}"):
            raise ValueError(
                f"dns.base_domain: {domain} holds the server's own name, which nodes could then "
                "not resolve; choose another domain"
            )
        if self.dns.magic_dns and "." not in domain.strip("."):
            raise ValueError("dns.base_domain: a domain with a dot is needed for MagicDNS")
        if self.derp.server.enabled and parts.scheme != "https":
            raise ValueError(
                "derp.server.enabled: relays are reached by TLS only; give server_url an https "
                "URL, of a proxy in front if this server has no certificate"
            )
        if any(proxy.prefixlen == 0 for proxy in self.trusted_proxies):
            raise ValueError("trusted_proxies: /0 would believe everybody")
        return self


def load_config(path: Path | None) -> ControlConfig:
    """Read the file, if any, and the environment; raises InvalidRequestError that names the key."""
    try:
        values = {} if path is None else _read_file(path)
        return ControlConfig(**values)
    except OSError as error:
        raise InvalidRequestError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"{path}: {error}") from None
    except ValidationError as error:
        lines = [_spelled(item) for item in error.errors(include_url=False, include_input=False)]
        raise InvalidRequestError("\n".join([f"{path or 'environment'}:", *lines])) from None


def _read_file(path: Path) -> dict[str, Any]:
    text = path.read_text("utf-8")
    values = tomllib.loads(text) if path.suffix == ".toml" else yaml.safe_load(text)
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InvalidRequestError(f"{path}: keys and values expected at the top level")
    return values


def _spelled(item: Any) -> str:
    place = ".".join(str(part) for part in item["loc"])
    return f"  {place + ': ' if place else ''}{item['msg'].removeprefix('Value error, ')}"
