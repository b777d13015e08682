"""`postern control nodes wg-config`: a plain WireGuard device becomes a node, and its file.

The device's private key is made here or stays where it is: the server sees the public key only.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from control.errors import InvalidRequestError
from control.keys import NodePrivate

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from control.cli.client import ApiClient
    from control.cli.output import Output
    from control.cli.parsing import Parser

__all__ = ["add_wg_config", "config_text"]

_MTU: Final = 1280
_KEEPALIVE_S: Final = 25
_UNKNOWN_KEY: Final = "PASTE-THE-PRIVATE-KEY-OF-THIS-DEVICE"


def add_wg_config(parser: Parser) -> None:
    """Declare the command."""
    command = parser.command(
        "nodes wg-config", "enter a plain WireGuard device; print its configuration", _wg_config
    )
    add = command.add_argument
    add("-i", "--identifier", type=int, help="print that of a device that is a node already")
    add("--name", default="", help="name of a new device in the tailnet")
    add("-u", "--user", default="", help="whose device it is")
    add("-t", "--tags", default="", help="tag:a,tag:b instead of a user")
    add("--public-key", default="", help="the device has a private key and keeps it")
    add("--private-key-file", type=Path, help="the device's private key; it is not sent anywhere")
    add("--endpoint", default="", metavar="IP:PORT", help="where peers find the device")
    add("--peer-endpoint", action="append", default=[], metavar="NAME=HOST:PORT",
        help="where the device finds a peer that says otherwise; repeatable")  # fmt: skip


def _wg_config(o: argparse.Namespace, client: ApiClient, output: Output) -> None:
    peer_endpoints = _peer_endpoints(o.peer_endpoint)
    private = _private_key(o)
    number = o.identifier
    if number is None:
        if not o.name:
            raise InvalidRequestError("name a new device with --name, or one there is with -i")
        if private is None and not o.public_key:
            private = NodePrivate.generate(os.urandom)
        made = client.post(
            "wireguard",
            name=o.name,
            user=o.user,
            tags=[tag.strip() for tag in o.tags.split(",") if tag.strip()],
            publicKey=o.public_key or ("" if private is None else _public_text(private)),
            endpoint=o.endpoint,
        )
        number = made["node"]["id"]
    found = client.get("wireguard", number)
    secret = "" if private is None else _private_text(private)
    text = config_text(found, secret, peer_endpoints, o.endpoint)
    output.say({**found, "config": text}, text)


def _private_key(options: argparse.Namespace) -> NodePrivate | None:
    if options.private_key_file is None:
        return None
    if options.public_key:
        raise InvalidRequestError("give --public-key or --private-key-file, not both")
    try:
        return NodePrivate(base64.b64decode(options.private_key_file.read_text(), validate=False))
    except ValueError:
        raise InvalidRequestError(
            f"{options.private_key_file}: no private key as `wg genkey` prints one"
        ) from None


def _public_text(private: NodePrivate) -> str:
    return base64.b64encode(private.public.raw).decode()


def _private_text(private: NodePrivate) -> str:
    return base64.b64encode(bytes.fromhex(private.to_secret_text().partition(":")[2])).decode()


def _peer_endpoints(texts: list[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        name, equals, endpoint = text.partition("=")
        if not (name and equals and endpoint.rpartition(":")[2].isdecimal()):
            raise InvalidRequestError(f"--peer-endpoint {text}: expected NAME=HOST:PORT")
        found[name] = endpoint
    return found


def config_text(
    found: Mapping[str, Any], private_key: str, peer_endpoints: Mapping[str, str], endpoint: str
) -> str:
    """Return the file for `wg-quick`: what the server answered, with what only the device knows."""
    node = found["node"]
    names = {peer["name"] for peer in found["peers"]}
    for name in peer_endpoints:
        if name not in names:
            raise InvalidRequestError(
                f"--peer-endpoint: the policy does not connect {node['givenName']} with {name!r}"
            )
    lines = [f"# {node['givenName']}, node {node['id']}: for `wg-quick up`.", "[Interface]"]
    lines.append(f"PrivateKey = {private_key or _UNKNOWN_KEY}")
    width = {4: 32, 6: 128}
    addresses = (f"{ip}/{width[6 if ':' in ip else 4]}" for ip in node["ipAddresses"])
    lines += [f"Address = {', '.join(addresses)}", f"MTU = {_MTU}"]
    if endpoint:
        lines.append(f"ListenPort = {endpoint.rpartition(':')[2]}")
    for peer in found["peers"]:
        lines += ["", f"# {peer['name']}", "[Peer]", f"PublicKey = {peer['publicKey']}"]
        lines.append(f"AllowedIPs = {', '.join(peer['allowedIps'])}")
        known = [peer_endpoints[peer["name"]]] if peer["name"] in peer_endpoints else []
        first, *others = [*known, *peer["endpoints"]] or [""]
        if first:
            lines += [f"Endpoint = {first}", f"PersistentKeepalive = {_KEEPALIVE_S}"]
            lines += [f"# also at {other}" for other in others]
        else:
            lines.append("# says nowhere where it is: it must find this device")
    if not found["peers"]:
        lines += ["", "# The policy connects this device with nobody yet; print this again then."]
    return "\n".join(lines)
