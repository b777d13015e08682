"""How the server itself runs: its keys, limits and log, and how the command line reaches it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from control.config.values import Duration, Section

__all__ = ["Cli", "ConnectLimit", "Log", "Noise", "RegisterLimit", "Tls"]


class Noise(Section):
    """The server's identity."""

    private_key_path: Path = Path("noise.key")
    """File of the control key; made with mode 0600 at the first start. Nodes remember this key:
    losing the file makes every node fail until its process restarts."""


class ConnectLimit(Section):
    """How often one address may ask for the control key or open a control connection."""

    burst: Annotated[int, Field(gt=0)] = 2000
    """At once."""
    per_second: Annotated[float, Field(gt=0)] = 100.0
    """After that."""


class RegisterLimit(Section):
    """How often one address, and one machine, may register, and an address open login pages."""

    burst: Annotated[int, Field(gt=0)] = 200
    """At once."""
    per_second: Annotated[float, Field(gt=0)] = 20.0
    """After that."""


class Tls(Section):
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


class Cli(Section):
    """How the command line reaches a server; without an address, through the Unix socket."""

    address: str = ""
    """URL of a remote server."""
    api_key: SecretStr = SecretStr("")
    """Key for it, made by `postern control apikeys create` there."""
    timeout: Duration = timedelta(seconds=30)
    """How long an answer may take."""
    insecure: bool = False
    """Take any certificate. For trials only: whoever is in between gets the key."""


class Log(Section):
    """What is logged, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """`debug`, `info`, `warning` or `error`, and what is worse."""
    format: Literal["text", "json"] = "text"
    """`text` for people, `json` for machines: one object a line."""
