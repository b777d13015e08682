"""What is served where: the public listener, the Unix socket and the one of metrics."""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from control.http.api_v1 import ApiV1
from control.http.api_v2 import ApiV2
from control.http.metrics import Metrics
from control.http.ratelimit import RateLimit
from control.http.site import Site
from control.http.source_limits import SourceLimits

if TYPE_CHECKING:
    from pathlib import Path

    from control.app import ControlServer
    from control.config import ConnectLimit, ControlConfig, RegisterLimit

__all__ = ["listen", "listen_for_metrics", "listen_locally", "rate_limit_of"]

_MAX_BODY_BYTES = 32 << 20
_log = structlog.get_logger("control")


def rate_limit_of(limit: ConnectLimit | RegisterLimit) -> RateLimit:
    """Return a limit on the running loop's clock."""
    clock = asyncio.get_running_loop().time
    return RateLimit(burst=limit.burst, per_second=limit.per_second, clock=clock)


async def listen(server: ControlServer) -> web.AppRunner:
    """Open the public listener: nodes, browsers, both APIs and the relay; note its port."""
    config = server.config
    limits = SourceLimits(
        connect=rate_limit_of(config.connect_limit),
        login=rate_limit_of(config.register_limit),
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
    ApiV2(server, rate_limit_of(config.register_limit)).add_routes(app)
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


async def listen_locally(server: ControlServer, path: Path) -> web.AppRunner:
    """Open the Unix socket, whose callers are administrators."""
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


async def listen_for_metrics(server: ControlServer) -> web.AppRunner:
    """Open the listener of /metrics and /debug."""
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
