"""Composition of the control server: reads keys, opens the database, wires rooms, serves.

Nothing is decided here. `ControlServer` runs inside one task group; leaving it stops everything.
"""

from __future__ import annotations

import asyncio
import gc
import os
import ssl
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from control.derp_sources import DerpSources
from control.embedded_relay import EmbeddedRelay, region_of
from control.http.api_v1 import ApiV1
from control.http.api_v2 import ApiV2
from control.http.door import Door
from control.http.journal import Journal
from control.http.listener import Listener, connection_limit
from control.http.machine import MACHINE_PATHS, MachineApi
from control.http.metrics import Metrics
from control.http.ratelimit import RateLimit
from control.http.sign_in import CALLBACK_PATH, SignInPages
from control.http.site import Site
from control.http.source_limits import SourceLimits
from control.http.ssh_actions import SshActions
from control.http.ts2021 import Ts2021
from control.identity.enrolment import Enrolment, EnrolmentSettings
from control.identity.logins import Logins
from control.identity.oidc_provider import OidcProvider
from control.identity.registrar import Registrar
from control.identity.ssh_checks import SshChecks
from control.keys import MachinePrivate
from control.mapper.atlas import Atlas
from control.operations.addresses import Pools
from control.policies.keeper import PolicyKeeper
from control.registry.addresses import AddressPool
from control.registry.ledger import Ledger
from control.registry.neighbours import Neighbours
from control.registry.presence import Presence
from control.registry.reports import Reports
from control.registry.tailnet import Tailnet
from control.store import queries
from control.store.database import Database
from control.tailnet_dns import dns_config_of
from control.upkeep import Upkeep

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from control.config import ConnectLimit, ControlConfig, RegisterLimit
    from control.identity.oidc_settings import Oidc

__all__ = ["ControlServer", "load_control_key", "running_server"]

_MAX_BODY_BYTES = 32 << 20
_COLLECTION_THRESHOLDS = (10_000, 10, 100)
"""Rarer than Python's: a compiled network is many thousand objects that live long, and walking all
of them at every few changes would hold up everybody. Young cycles are collected as ever."""
_log = structlog.get_logger("control")


def load_control_key(path: Path) -> MachinePrivate:
    """Read the control key, or make it at the first start; raises ValueError for other content."""
    try:
        return MachinePrivate.from_secret_text(path.read_text("ascii").strip())
    except FileNotFoundError:
        key = MachinePrivate.generate(os.urandom)
        # Under its name only once it is complete: a crash must not leave half a key.
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(key.to_secret_text() + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(unfinished)
        finally:
            unfinished.unlink()
        return key


@dataclass(slots=True, eq=False)
class ControlServer:
    """A running server's parts, for the API and for tests."""

    config: ControlConfig
    database: Database
    ledger: Ledger
    keeper: PolicyKeeper
    logins: Logins
    registrar: Registrar
    enrolment: Enrolment
    atlas: Atlas
    machine: MachineApi
    ts2021: Ts2021
    listener: Listener
    upkeep: Upkeep
    neighbours: Neighbours
    derp_sources: DerpSources
    control_key: MachinePrivate
    pools: Pools
    ssh_checks: SshChecks
    journal: Journal
    remote_of: Callable[[web.BaseRequest], str]
    """Tells a client's address, behind trusted proxies too."""
    sign_in: SignInPages | None = None
    relay: EmbeddedRelay | None = None
    port: int = 0
    """Port of the public listener."""


@asynccontextmanager
async def running_server(config: ControlConfig) -> AsyncIterator[ControlServer]:
    """Run a server for the length of the block; stopping sends nodes away gently."""
    gc.set_threshold(*_COLLECTION_THRESHOLDS)
    control_key = load_control_key(config.noise.private_key_path)
    database = await Database.open(config.database)
    try:
        server = await _compose(config, database, control_key)
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(server.atlas.run(), name="atlas"),
                tasks.create_task(server.upkeep.run(), name="upkeep"),
                tasks.create_task(server.derp_sources.run(server.atlas.set_derp_map), name="derp"),
            ]
            if not database.is_sqlite:
                background.append(tasks.create_task(server.neighbours.run(), name="neighbours"))
            if server.relay is not None:
                await server.relay.start()
            runners = [await _listen(server)]
            if config.unix_socket is not None:
                runners.append(await _listen_locally(server, config.unix_socket))
            if config.metrics_listen_addr:
                runners.append(await _listen_for_metrics(server))
            try:
                yield server
            finally:
                spread_s = config.shutdown_spread.total_seconds()
                await server.listener.stop()
                await server.ts2021.shut_down(spread_s)
                if server.relay is not None:
                    await server.relay.drain(spread_s)
                for runner in runners:
                    await runner.cleanup()
                if server.relay is not None:
                    await server.relay.close()
                for task in background:
                    task.cancel()
        await server.upkeep.write_reports()
    finally:
        await database.close()


async def _compose(
    config: ControlConfig, database: Database, control_key: MachinePrivate
) -> ControlServer:
    async with database.reading() as connection:
        tailnet = Tailnet(
            await queries.users(connection),
            await queries.nodes(connection),
            await queries.settings(connection),
        )
    loop = asyncio.get_running_loop()
    origin = os.urandom(8).hex()
    ledger = Ledger(database, tailnet, lambda: datetime.now(UTC), origin)
    domain = config.dns.base_domain.strip(".")
    keeper = await PolicyKeeper.start(ledger, domain=domain, file=config.policy.path)
    logins = Logins(os.urandom, loop.time)
    pools = _pools(config, tailnet)
    enrolment = Enrolment(
        ledger=ledger,
        ipv4=pools.ipv4,
        ipv6=pools.ipv6,
        settings=EnrolmentSettings(
            node_expiry=config.node.expiry or None,
            needs_approval=config.node.approval_required,
        ),
        may_tag=keeper.may_tag,
        auto_approved=keeper.approved_routes,
        catch_up=lambda: neighbours.catch_up(),  # noqa: PLW0108  made below
    )
    registrar = Registrar(
        ledger=ledger,
        logins=logins,
        enrolment=enrolment,
        auth_url_prefix=f"{config.server_url.rstrip('/')}/register/",
    )
    derp_sources = DerpSources(config.derp, region_of(config))
    atlas = Atlas(
        tailnet,
        keeper.in_force.policy,
        domain=domain,
        derp_map=await derp_sources.start(),
        dns_config=dns_config_of(config.dns),
        clock=ledger.now,
    )
    keeper.listen(atlas.set_policy)
    ledger.listen(atlas.on_change)
    presence = Presence(config.node.ephemeral.inactivity_timeout.total_seconds())
    reports = Reports(ledger, keeper.approved_routes)
    checks = SshChecks(ledger, os.urandom, loop.time)
    machine_api = MachineApi(
        ledger=ledger,
        registrar=registrar,
        reports=reports,
        presence=presence,
        atlas=atlas,
        register_limit=_rate_limit(config.register_limit),
        ssh_actions=SshActions(
            tailnet=tailnet,
            atlas=atlas,
            checks=checks,
            page_url_prefix=f"{config.server_url.rstrip('/')}/auth/",
        ),
    )
    relay = EmbeddedRelay(config, ledger) if config.derp.server.enabled else None
    listener = Listener(
        Door(
            most=connection_limit(config.max_connections),
            is_trusted=lambda address: _is_proxy(config, address),
        ),
        long_paths=frozenset({"/ts2021"}),
        front=None if relay is None else relay.front,
    )
    remote_of = _remote_finder(config)
    journal = Journal(
        os.urandom,
        # Who has no address came by the Unix socket.
        is_trusted=lambda request: not request.remote or _is_proxy(config, request.remote),
        remote_of=remote_of,
        channel_paths=MACHINE_PATHS,
    )
    ts2021 = Ts2021(control_key, journal.channel(machine_api.handle), remote_of, listener.prove)
    neighbours = Neighbours(
        ledger,
        origin=origin,
        on_policy=keeper.reload_stored,
        on_foreign_nodes=enrolment.mark_foreign,
        presence=presence,
        reports=reports,
    )
    upkeep = Upkeep(ledger, enrolment, presence, reports, keeper, neighbours.holds)
    return ControlServer(
        config=config,
        database=database,
        ledger=ledger,
        keeper=keeper,
        logins=logins,
        registrar=registrar,
        enrolment=enrolment,
        atlas=atlas,
        machine=machine_api,
        ts2021=ts2021,
        listener=listener,
        upkeep=upkeep,
        neighbours=neighbours,
        derp_sources=derp_sources,
        control_key=control_key,
        pools=pools,
        ssh_checks=checks,
        journal=journal,
        remote_of=remote_of,
        sign_in=None
        if config.oidc is None
        else _sign_in(config, config.oidc, ledger, registrar, logins, checks),
        relay=relay,
    )


def _sign_in(
    config: ControlConfig,
    oidc: Oidc,
    ledger: Ledger,
    registrar: Registrar,
    logins: Logins,
    checks: SshChecks,
) -> SignInPages:
    clock = asyncio.get_running_loop().time
    base_url = config.server_url.rstrip("/")
    return SignInPages(
        settings=oidc,
        provider=OidcProvider(oidc, f"{base_url}{CALLBACK_PATH}", ledger.now),
        ledger=ledger,
        registrar=registrar,
        logins=logins,
        checks=checks,
        entropy=os.urandom,
        clock=clock,
        remote_of=_remote_finder(config),
        is_secure=base_url.startswith("https:"),
    )


def _pools(config: ControlConfig, tailnet: Tailnet) -> Pools:
    prefixes, nodes = config.prefixes, tailnet.nodes
    ipv4: AddressPool[IPv4Address] | None = None
    ipv6: AddressPool[IPv6Address] | None = None
    if prefixes.v4 is not None:
        ipv4 = AddressPool(prefixes.v4, IPv4Address, prefixes.allocation, os.urandom)
        ipv4.take_all(node.ipv4 for node in nodes if node.ipv4 is not None)
    if prefixes.v6 is not None:
        ipv6 = AddressPool(prefixes.v6, IPv6Address, prefixes.allocation, os.urandom)
        ipv6.take_all(node.ipv6 for node in nodes if node.ipv6 is not None)
    return Pools(ipv4, ipv6)


def _rate_limit(limit: ConnectLimit | RegisterLimit) -> RateLimit:
    clock = asyncio.get_running_loop().time
    return RateLimit(burst=limit.burst, per_second=limit.per_second, clock=clock)


def _is_proxy(config: ControlConfig, address: str) -> bool:
    with suppress(ValueError):
        return any(ip_address(address) in proxy for proxy in config.trusted_proxies)
    return False


def _remote_finder(config: ControlConfig) -> Callable[[web.BaseRequest], str]:
    """Return how to tell a client's address, believing only proxies that are trusted."""

    def find(request: web.BaseRequest) -> str:
        remote = request.remote or ""
        with suppress(ValueError):
            if _is_proxy(config, remote):
                forwarded = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
                return str(ip_address(forwarded))
        return remote

    return find


async def _listen(server: ControlServer) -> web.AppRunner:
    config = server.config
    limits = SourceLimits(
        connect=_rate_limit(config.connect_limit),
        login=_rate_limit(config.register_limit),
        remote_of=server.remote_of,
    )
    app = web.Application(
        client_max_size=_MAX_BODY_BYTES,
        middlewares=[
            server.journal.middleware,
            server.listener.middleware,
            limits.middleware,
        ],
    )
    Site(
        ledger=server.ledger,
        ts2021=server.ts2021,
        logins=server.logins,
        checks=server.ssh_checks,
        control=server.control_key.public,
        sign_in=server.sign_in,
    ).add_routes(app)
    if server.sign_in is not None:
        server.sign_in.add_routes(app)
    ApiV1(server).add_routes(app, is_local=False)
    ApiV2(server, _rate_limit(config.register_limit)).add_routes(app)
    if server.relay is not None:
        server.relay.add_routes(app)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=5.0)
    await runner.setup()
    make = runner.server
    if make is None:
        raise AssertionError("a runner that was set up has a server")
    server.port = await server.listener.start(make, config.listen_addr, _tls(config))
    _log.info("listening", address=config.listen_addr, port=server.port)
    return runner


async def _listen_locally(server: ControlServer, path: Path) -> web.AppRunner:
    app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[server.journal.middleware])
    ApiV1(server).add_routes(app, is_local=True)
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=5.0)
    await runner.setup()
    mode = int(server.config.unix_socket_permission, 8)
    path.unlink(missing_ok=True)  # noqa: ASYNC240  one system call at the start
    # Nobody may get in between the socket's birth and its permissions.
    old_mask = os.umask(0o777 & ~mode)
    try:
        await web.UnixSite(runner, str(path)).start()
    finally:
        os.umask(old_mask)
    return runner


async def _listen_for_metrics(server: ControlServer) -> web.AppRunner:
    app = web.Application()
    Metrics(server).add_routes(app)
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    host, _, port = server.config.metrics_listen_addr.rpartition(":")
    await web.TCPSite(runner, host.strip("[]"), int(port)).start()
    return runner


def _tls(config: ControlConfig) -> ssl.SSLContext | None:
    if config.tls.cert_path is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(config.tls.cert_path, config.tls.key_path)
    return context
