"""`postern wg`: plain WireGuard with a policy on top."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from engine.rules import EngineError
from node.cli.wg_show import render_show
from node.datapath.tun import TunError
from node.filterfile import FilterFileError
from node.localapi.client import LocalApiError, ask, ask_json, running_interfaces
from node.transport.udp import TransportError
from node.wgquick.config import ConfigError, HostError, interface_name, parse
from node.wireguard.keys import InvalidKeyError, SecretKey, encode_key

if TYPE_CHECKING:
    from collections.abc import Callable

_COLLECT_AFTER = 50_000
"""Objects made before the collector looks; bursts make thousands, none of them in a cycle."""
_ERRORS = (
    ConfigError,
    EngineError,
    FilterFileError,
    HostError,
    InvalidKeyError,
    LocalApiError,
    OSError,
    TransportError,
    TunError,
)


def main(arguments: list[str]) -> int:
    """Run `postern wg ...`. Returns its exit status: 1 for any trouble."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except _ERRORS as error:
        print(f"postern wg: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="postern wg", description=__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    up = actions.add_parser("up", help="run the interface of a wg-quick file until stopped")
    up.add_argument("file", type=Path, metavar="FILE.conf")
    up.add_argument("--name", help="interface name (default: the file's)")
    up.add_argument("--filter", type=Path, metavar="FILE.json", help="compiled packet filter")
    up.add_argument("--no-offload", action="store_true", help="do without kernel offloads")
    up.add_argument("--verbose", action="store_true", help="log handshakes and roaming")
    up.set_defaults(run=_up)
    _add(actions, "down", "stop an interface", _down)
    show = _add(actions, "show", "print interfaces and peers as wg show does", _show)
    show.add_argument("--json", action="store_true")
    for name, text in (
        ("rules", "print what each filter rule let through"),
        ("flows", "print live flows and the rule that lets each be"),
        ("admissions", "print what the filter let in lately, by which policy rule"),
        ("denials", "print what was refused lately"),
    ):
        _add(actions, name, text, _reader(name))
    change = _add(actions, "filter", "swap the packet filter", _filter)
    change.add_argument("file", nargs="?", type=Path, metavar="FILE.json", help="none: pass all")
    capture = _add(actions, "capture", "record packets in pcapng", _capture)
    capture.add_argument("file", nargs="?", type=Path, metavar="FILE", help="none: stop")
    capture.add_argument("--what", choices=("all", "allowed", "dropped"), default="all")
    for key, run, text in (
        ("genkey", _genkey, "print a new private key"),
        ("pubkey", _pubkey, "read a private key, print its public key"),
        ("genpsk", _genpsk, "print a new preshared key"),
    ):
        actions.add_parser(key, help=text).set_defaults(run=run)
    return parser


def _add(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=text)
    optional = name == "show"
    parser.add_argument("interface", nargs="?" if optional else None, default="all")
    parser.set_defaults(run=run)
    return parser


def _up(options: argparse.Namespace) -> int:
    # Here and not above: the other actions need neither numpy nor aiohttp nor netlink.
    from node.wgquick.daemon import InterfaceDaemon, Options  # noqa: PLC0415  see above

    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
    )
    name = interface_name(options.name or options.file.stem)
    config = parse(options.file.read_text())
    daemon = InterfaceDaemon(
        config,
        Options(
            name=name,
            config_path=options.file,
            filter_path=options.filter,
            offloads=not options.no_offload,
        ),
    )
    # The packet path makes no cycles; a full collection would only delay packets.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    asyncio.run(daemon.run(lambda: print(f"{name}: up", flush=True)))
    return 0


def _down(options: argparse.Namespace) -> int:
    ask(options.interface, "POST", "/stop")
    return 0


def _show(options: argparse.Namespace) -> int:
    names = running_interfaces() if options.interface == "all" else [options.interface]
    if options.interface == "interfaces":
        print(" ".join(running_interfaces()))
        return 0
    found = [ask_json(name, "GET", "/status") for name in names]
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print("\n\n".join(render_show(status) for status in found))
    return 0


def _reader(name: str) -> Callable[[argparse.Namespace], int]:
    def read(options: argparse.Namespace) -> int:
        print(json.dumps(ask_json(options.interface, "GET", f"/{name}"), indent=2))
        return 0

    return read


def _filter(options: argparse.Namespace) -> int:
    if options.file is None:
        ask(options.interface, "DELETE", "/filter")
    else:
        ask(options.interface, "PUT", "/filter", options.file.read_text())
    return 0


def _capture(options: argparse.Namespace) -> int:
    if options.file is None:
        ask(options.interface, "DELETE", "/capture")
        return 0
    wanted = {"file": str(options.file.resolve()), "what": options.what}
    ask(options.interface, "PUT", "/capture", json.dumps(wanted))
    return 0


def _genkey(_: argparse.Namespace) -> int:
    print(SecretKey.generate(os.urandom).reveal_text())
    return 0


def _pubkey(_: argparse.Namespace) -> int:
    print(encode_key(SecretKey.from_text(sys.stdin.read().strip()).public()))
    return 0


def _genpsk(_: argparse.Namespace) -> int:
    print(encode_key(os.urandom(32)))
    return 0
