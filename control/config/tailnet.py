"""What holds for the nodes of the tailnet: addresses, names, lives, and who may reach whom."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path  # noqa: TC003  pydantic needs it at run time
from typing import Literal

from pydantic import Field, model_validator

from control.config.values import Duration, Section
from control.errors import InvalidRequestError
from control.registry.addresses import Allocation, check_pools

__all__ = ["Dns", "Ephemeral", "ExtraRecord", "Nameservers", "Node", "PolicyConfig", "Prefixes"]


class Prefixes(Section):
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


class Nameservers(Section):
    """Resolvers."""

    global_: tuple[str, ...] = Field(default=(), alias="global")
    """For every name, as far as `override_local_dns` says so."""
    split: dict[str, tuple[str, ...]] = Field(default={})
    """Domain to the resolvers of its names."""


class ExtraRecord(Section):
    """A name that nodes answer themselves."""

    name: str
    """The full name."""
    type: Literal["A", "AAAA"]
    """`A` or `AAAA`."""
    value: str
    """The address."""


class Dns(Section):
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


class Ephemeral(Section):
    """Short-lived nodes."""

    inactivity_timeout: Duration = timedelta(minutes=30)
    """How long one may be away before it is deleted; more than 65s."""

    @model_validator(mode="after")
    def _check(self) -> Ephemeral:
        if self.inactivity_timeout <= timedelta(seconds=65):
            raise ValueError("inactivity_timeout: must be more than 65s, a gap between keepalives")
        return self


class Node(Section):
    """Lives of nodes."""

    expiry: Duration = timedelta()
    """Life of a user's node key; 0 never ends it. Tagged nodes never expire."""
    ephemeral: Ephemeral = Ephemeral()
    approval_required: bool = False
    """New nodes wait until an administrator approves them, unless their auth key is preauthorized.
    The tailnet's own setting, made through the API, goes before this one."""


class PolicyConfig(Section):
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
