"""`postern relay serve`: read flags and files, run one relay until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
import signal
import socket
import ssl
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from control.keys import KeyTextError, MeshKey, NodePrivate, NodePublic
from relay.admission import Admission, AdmitEveryone, AdmitKeys
from relay.app import NO_LIMIT, Relay, RelayConfig
from relay.dial import RelayAddress
from relay.frames import KEY_BYTES, MAX_PACKET_BYTES
from relay.key_file import load_server_key
from relay.ratelimit import RateLimit
from relay.server.tls import SelfSigned, client_context, kept_self_signed, server_context
from relay.server.verify import AdmitByUrl

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["SettingError", "add_parser", "run"]

log = logging.getLogger("relay")

BOOTSTRAP_REFRESH_S = 600.0
_PIN = re.compile(r"sha256-raw:[0-9a-f]{64}")
MIN_BURST_BYTES = MAX_PACKET_BYTES + KEY_BYTES


class SettingError(Exception):
    """A flag or a file that cannot be used; the message says what to change."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `serve` and its flags."""
    parser = commands.add_parser("serve", help="run a DERP relay and a STUN server")
    add = parser.add_argument
    add("--listen", default=":443", metavar="[HOST]:PORT", help="where to serve DERP")
    add("--http-port", type=int, default=80, help="plain HTTP for portal checks; -1 turns it off")
    add("--stun-port", type=int, default=3478, help="UDP port of the STUN server; -1 turns it off")
    add("--key-file", type=Path, required=True, help="server key; made if it is not there")
    add("--hostname", default="", help="public name or address of this relay")
    add("--cert", type=Path, help="certificate chain, PEM")
    add("--cert-key", type=Path, help="private key of the certificate, PEM")
    add("--self-signed", action="store_true", help="keep a certificate beside the key")
    add("--plain", action="store_true", help="no TLS, as behind a proxy that ends it")
    add("--mesh-psk-file", type=Path, help="secret shared by the servers of this region")
    add(
        "--mesh-with",
        default="",
        metavar="HOST[:PORT][=PIN],…",
        help="other servers of this region",
    )
    add("--verify-client-url", default="", help="ask this URL about each client")
    add("--verify-client-url-fail-open", action="store_true", help="admit while it is down")
    add("--admit-keys", type=Path, help="file of node keys to admit, one `nodekey:…` a line")
    add("--admit-everyone", action="store_true", help="be an open relay")
    add("--recheck", type=float, default=300.0, help="seconds between checks of who may stay")
    add("--accept-connection-limit", type=float, default=0.0, help="new connections a second")
    add("--accept-connection-burst", type=float, default=0.0, help="new connections at once")
    add("--rate-config", type=Path, help="JSON file with per-client rates; SIGHUP reads it again")
    add("--tcp-write-timeout", type=float, default=2.0, help="seconds; 0 turns it off")
    add("--drain", type=float, default=5.0, help="seconds over which SIGTERM moves clients")
    add("--home", default="", help="URL to redirect / to, or `blank`")
    add("--bootstrap-dns-names", default="", help="names to publish addresses of, with commas")
    add("--verbose", action="store_true", help="log more")


def run(arguments: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT."""
    level = logging.DEBUG if arguments.verbose else logging.INFO
    logging.basicConfig(level=level, format="%(asctime)s %(name)s: %(message)s")
    try:
        asyncio.run(_serve(arguments))
    except SettingError as error:
        print(f"postern relay serve: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"postern relay serve: {error}; is another server on the port?", file=sys.stderr)
        return 1
    return 0


async def _serve(arguments: argparse.Namespace) -> None:
    admission = _admission(arguments)
    async with contextlib.AsyncExitStack() as stack:
        if isinstance(admission, AdmitByUrl):
            stack.push_async_callback(admission.close)
        relay = await stack.enter_async_context(Relay(_config(arguments), admission))
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, _reload_rate, relay, arguments.rate_config)
        if arguments.bootstrap_dns_names:
            names = arguments.bootstrap_dns_names.split(",")
            relay.hub.spawn(_refresh_names(relay, names))
        log.info("serving on %s as %s", arguments.listen, relay.public_key.hex())
        await stop.wait()
        log.info("moving clients away")
        await relay.drain(arguments.drain)


def _config(arguments: argparse.Namespace) -> RelayConfig:
    private = _server_key(arguments.key_file)
    listen = _address(arguments.listen)
    plain_http = None
    if arguments.http_port >= 0 and not arguments.plain:
        plain_http = (listen[0], arguments.http_port)
    mesh_key = _mesh_key(arguments.mesh_psk_file)
    if arguments.mesh_with and mesh_key is None:
        raise SettingError("--mesh-with needs --mesh-psk-file, the secret of the region")
    return RelayConfig(
        private=private,
        listen=listen,
        plain_http=plain_http,
        stun=((listen[0], arguments.stun_port),) if arguments.stun_port >= 0 else (),
        tls=_tls(arguments, private.public.raw),
        mesh_key=mesh_key,
        mesh_with=tuple(map(_mesh_address, filter(None, arguments.mesh_with.split(",")))),
        rate=_read_rate(arguments.rate_config) if arguments.rate_config else NO_LIMIT,
        accept_rate=RateLimit(
            arguments.accept_connection_limit,
            arguments.accept_connection_burst or arguments.accept_connection_limit,
        ),
        write_timeout_s=arguments.tcp_write_timeout,
        recheck_s=arguments.recheck,
        home=arguments.home,
    )


def _admission(arguments: argparse.Namespace) -> Admission:
    chosen = [
        bool(arguments.verify_client_url),
        arguments.admit_keys is not None,
        arguments.admit_everyone,
    ]
    if sum(chosen) != 1:
        raise SettingError(
            "say who may use this relay: exactly one of --verify-client-url, --admit-keys "
            "and --admit-everyone"
        )
    if arguments.verify_client_url:
        fail_open = arguments.verify_client_url_fail_open
        return AdmitByUrl(arguments.verify_client_url, fail_open=fail_open)
    if arguments.admit_keys is not None:
        return AdmitKeys([_node_key(line) for line in _lines(arguments.admit_keys)])
    return AdmitEveryone()


def _lines(path: Path) -> Sequence[str]:
    lines = (line.partition("#")[0].strip() for line in _read(path).splitlines())
    return [line for line in lines if line]


def _node_key(text: str) -> bytes:
    try:
        return NodePublic.from_text(text).raw
    except KeyTextError as error:
        raise SettingError(f"--admit-keys: {error}") from error


def _server_key(path: Path) -> NodePrivate:
    try:
        return load_server_key(path)
    except ValueError as error:
        raise SettingError(str(error)) from error


def _mesh_key(path: Path | None) -> MeshKey | None:
    if path is None:
        return None
    try:
        return MeshKey.from_secret_text(_read(path).strip())
    except KeyTextError as error:
        raise SettingError(f"{path}: {error}") from error


def _mesh_address(text: str) -> RelayAddress:
    place, _, pin = text.partition("=")
    name, _, dial_host = place.partition("/")
    host, port = _address(name if ":" in name else f"{name}:443")
    if pin and not _PIN.fullmatch(pin):
        raise SettingError(f"{text!r}: expected HOST[:PORT][/DIALHOST][=sha256-raw:HEX]")
    return RelayAddress(
        dial_host or host,
        port,
        server_name=host,
        certificate_pin=pin,
        tls=client_context(verify=not pin),
    )


def _tls(arguments: argparse.Namespace, public_key: bytes) -> ssl.SSLContext | None:
    if arguments.plain:
        return None
    if arguments.self_signed:
        if not arguments.hostname:
            raise SettingError("--self-signed needs --hostname")
        kept = _self_signed(arguments.key_file.with_suffix(".pem"), arguments.hostname)
        log.info('in the DERP map: "CertName": "%s"', kept.pin)
        return server_context(kept.pem, kept.key, public_key)
    if arguments.cert is None or arguments.cert_key is None:
        raise SettingError("TLS needs --cert and --cert-key, or --self-signed, or --plain")
    try:
        return server_context(
            _read(arguments.cert).encode(), _read(arguments.cert_key).encode(), public_key
        )
    except (ssl.SSLError, ValueError) as error:
        raise SettingError(f"{arguments.cert} and {arguments.cert_key}: {error}") from error


def _self_signed(path: Path, host: str) -> SelfSigned:
    """Return the certificate beside the key file, so that clients' pins outlive a restart."""
    had_one = path.exists()
    try:
        kept = kept_self_signed(path, host, datetime.now(UTC))
    except ValueError as error:
        raise SettingError(
            f"{path}: {error}; expected the certificate of --self-signed. Move the file away "
            "to have another made"
        ) from error
    if had_one and kept.is_new:
        log.warning("%s was for another host or over: whoever pinned it must be told", path)
    return kept


def _read_rate(path: Path) -> RateLimit:
    try:
        fields = json.loads(_read(path))
        rate = fields.get("PerClientRateLimitBytesPerSec", 0)
        burst = fields.get("PerClientRateBurstBytes", 0)
    except (ValueError, AttributeError) as error:
        raise SettingError(f"{path}: not a JSON object with rates") from error
    if not isinstance(rate, int) or not isinstance(burst, int) or rate < 0:
        raise SettingError(f"{path}: rates are whole numbers of bytes")
    if rate and burst < MIN_BURST_BYTES:
        raise SettingError(f"{path}: PerClientRateBurstBytes must be at least {MIN_BURST_BYTES}")
    return RateLimit(rate, burst)


def _reload_rate(relay: Relay, path: Path | None) -> None:
    if path is None:
        return
    try:
        relay.hub.set_rate(_read_rate(path))
    except SettingError as error:
        log.warning("rates not changed: %s", error)
        return
    log.info("rates read again from %s", path)


async def _refresh_names(relay: Relay, names: Sequence[str]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        for name in names:
            try:
                found = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
            except OSError as error:
                # The addresses of last time serve until the name resolves again.
                log.warning("bootstrap name %s: %s", name, error)
                continue
            relay.pages.bootstrap_names[name] = sorted({str(entry[4][0]) for entry in found})
        await asyncio.sleep(BOOTSTRAP_REFRESH_S)


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65_535:
        raise SettingError(f"{text!r}: expected HOST:PORT")
    return host.strip("[]"), int(port)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{path}: {error}") from error
