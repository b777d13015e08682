"""All sections together, and what holds between them."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network  # noqa: TC003  pydantic needs it at run time
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from control.config.derp import Derp
from control.config.serving import Cli, ConnectLimit, Log, Noise, RegisterLimit, Tls
from control.config.tailnet import Dns, Node, PolicyConfig, Prefixes
from control.config.values import Duration  # noqa: TC001  pydantic needs it at run time
from control.identity.oidc_settings import Oidc  # noqa: TC001  pydantic needs it at run time

__all__ = ["ControlConfig"]


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
