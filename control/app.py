"""Composition of the control server: reads keys, opens the database, wires rooms, serves.

Nothing is decided here. `ControlServer` runs inside one task group; leaving it stops everything.
"""

from __future__ import annotations

import asyncio
import gc
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from control.control_key import load_control_key
from control.derp_sources import DerpSources
from control.embedded_relay import EmbeddedRelay, region_of
from control.http.door import Door
from control.http.journal import Journal
from control.http.listener import Listener, connection_limit
from control.http.machine import MACHINE_PATHS, MachineApi
from control.http.remote import is_proxy, remote_finder
from control.http.sign_in import CALLBACK_PATH, SignInPages
from control.http.ssh_actions import SshActions
from control.http.ts2021 import Ts2021
from control.identity.enrolment import Enrolment, EnrolmentSettings
from control.identity.logins import Logins
from control.identity.oidc_provider import OidcProvider
from control.identity.registrar import Registrar
from control.identity.ssh_checks import SshChecks
from control.listeners import listen, listen_for_metrics, listen_locally, rate_limit_of
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

    from aiohttp import web

    from control.config import ControlConfig
    from control.identity.oidc_settings import Oidc
    from control.keys import MachinePrivate

__all__ = ["ControlServer", "running_server"]

_COLLECTION_THRESHOLDS = (10_000, 10, 100)
"""Rarer than Python's: a compiled network is many thousand objects that live long, and walking all
of them at every few changes would hold up everybody. Young cycles are collected as ever."""


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
            runners = [await listen(server)]
            if config.unix_socket is not None:
                runners.append(await listen_locally(server, config.unix_socket))
            if config.metrics_listen_addr:
                runners.append(await listen_for_metrics(server))
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
    loop, proxies = asyncio.get_running_loop(), config.trusted_proxies
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
        register_limit=rate_limit_of(config.register_limit),
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
            is_trusted=lambda address: is_proxy(proxies, address),
        ),
        long_paths=frozenset({"/ts2021"}),
        front=None if relay is None else relay.front,
    )
    remote_of = remote_finder(proxies)
    journal = Journal(
        os.urandom,
        # Who has no address came by the Unix socket.
        is_trusted=lambda request: not request.remote or is_proxy(proxies, request.remote),
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
        else _sign_in(config, config.oidc, ledger, registrar, logins, checks, remote_of),
        relay=relay,
    )


def _sign_in(
    config: ControlConfig,
    oidc: Oidc,
    ledger: Ledger,
    registrar: Registrar,
    logins: Logins,
    checks: SshChecks,
    remote_of: Callable[[web.BaseRequest], str],
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
        remote_of=remote_of,
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
