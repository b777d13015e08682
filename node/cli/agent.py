"""`postern agent`: the daemon that keeps a machine in the mesh."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
from pathlib import Path

from node.agent.privileges import give_up_privileges
from node.cli.agent_flags import parser_for, run_command, state_directory

__all__ = ["main"]

LOG = logging.getLogger("postern.agent")


def main(arguments: list[str]) -> int:
    """Run `postern agent`. Returns its exit status."""
    parser = parser_for("agent", "Run the agent until it is stopped; `postern up` talks to it.")
    parser.add_argument("--interface", default="postern0", metavar="NAME", help="tunnel interface")
    parser.add_argument(
        "--port", type=int, default=41641, help="UDP port for WireGuard; 0 takes any"
    )
    parser.add_argument(
        "--port-mapping",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="ask the router by PCP, NAT-PMP or UPnP to forward that port",
    )
    parser.add_argument(
        "--port-guessing",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="look for a peer behind a hard NAT by guessing ports, a hundred a second for ten"
        " seconds at most; on that side, open 256 sockets for as long",
    )
    parser.add_argument(
        "--resolv-conf",
        type=Path,
        default=Path("/etc/resolv.conf"),
        metavar="FILE",
        help="the file that --accept-dns changes, where systemd-resolved is not in charge",
    )
    parser.add_argument("--verbose", action="store_true", help="log paths and denials")
    return run_command("agent", _run, parser.parse_args(arguments))


def _run(options: argparse.Namespace) -> int:
    # Before anything starts a thread, which would keep them.
    give_up_privileges()
    # Imports make no garbage worth looking for; what they made is frozen below.
    gc.disable()
    # Here and not above: commands that only ask the agent need none of this.
    from node.agent.daemon import run_agent  # noqa: PLC0415  see above
    from node.agent.options import AgentOptions  # noqa: PLC0415  see above
    from node.proxy.settings import ProxySettings  # noqa: PLC0415  see above

    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    directory = state_directory(options)
    proxies = ProxySettings.from_environment(os.environ)
    for proxy in proxies.usable():
        LOG.info("control server and relays by way of %s", proxy)
    # The packet path makes no cycles; a full collection would only delay packets.
    gc.enable()
    gc.collect()
    gc.freeze()
    asyncio.run(
        run_agent(
            directory,
            AgentOptions(
                interface=options.interface,
                port=options.port,
                maps_port=options.port_mapping,
                guesses_ports=options.port_guessing,
                resolv_conf=options.resolv_conf,
                proxies=proxies,
            ),
            lambda: print(f"postern agent: ready in {directory.path}", flush=True),
        )
    )
    return 0
