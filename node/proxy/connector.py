"""aiohttp's requests through the same tunnels as everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp

from node.proxy.connect import Through

if TYPE_CHECKING:
    import ssl

    from aiohttp.client_proto import ResponseHandler

    from node.proxy.settings import WebProxy

__all__ = ["TunnelConnector"]


class TunnelConnector(aiohttp.BaseConnector):
    """Opens a tunnel for each connection, also where aiohttp would send plain requests to a proxy.

    Requests raise ProxyError for what the proxy has against them.
    """

    def __init__(self, proxy: WebProxy, tls: ssl.SSLContext) -> None:
        """`tls` is for servers whose URL says https."""
        super().__init__()
        self._through = Through(proxy)
        self._tls = tls

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],  # noqa: ARG002  the base class's shape
        timeout: aiohttp.ClientTimeout,  # noqa: ARG002, ASYNC109  ours is over all of a request
    ) -> ResponseHandler:
        """Connect where a request goes; what aiohttp asks of every connector."""
        key = req.connection_key
        _, protocol = await self._through(
            self._factory, key.host, key.port or 0, ssl=self._tls if key.is_ssl else None
        )
        return protocol
