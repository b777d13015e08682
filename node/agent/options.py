"""What an agent is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from node.proxy.settings import DIRECT, ProxySettings

__all__ = ["AgentOptions"]


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """How to run an agent, beside what users prefer."""

    interface: str = "postern0"
    port: int = 41641
    maps_port: bool = True
    """Whether to ask the router to forward our port."""
    guesses_ports: bool = False
    """Whether to guess ports with peers where one of us is behind a hard NAT."""
    resolv_conf: Path = Path("/etc/resolv.conf")
    proxies: ProxySettings = DIRECT
    """Web proxies in the way to control server and relays."""
