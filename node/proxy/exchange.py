"""Asking a proxy for a tunnel: HTTP CONNECT (RFC 9110 9.3.6), as a machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from node.proxy.settings import ProxyError

if TYPE_CHECKING:
    from node.proxy.settings import WebProxy

__all__ = ["ConnectExchange", "refusal"]

_END: Final = b"\r\n\r\n"
_MAX_HEAD_BYTES: Final = 16_384
_MAX_SHOWN: Final = 100


class ConnectExchange:
    """One request and the head of its answer; behind that the tunnel begins."""

    __slots__ = ("_buffer", "_proxy", "_target", "request")

    def __init__(self, proxy: WebProxy, host: str, port: int) -> None:
        """Write the request. Raises ProxyError for a host that cannot stand in one."""
        self._proxy = proxy
        self._target = _authority(host, port)
        self._buffer = b""
        lines = [
            f"CONNECT {self._target} HTTP/1.1",
            f"Host: {self._target}",
            "User-Agent: postern",
        ]
        if proxy.authorization:
            lines.append(f"Proxy-Authorization: {proxy.authorization}")
        self.request = ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")

    def receive(self, data: bytes) -> bool:
        """Take bytes of the proxy; True once the tunnel is open.

        Raises ProxyError for a refusal, for what is no HTTP, and for bytes behind the head: who is
        at the other end of the tunnel has heard nothing yet that it could answer.
        """
        self._buffer += data
        head, end, rest = self._buffer.partition(_END)
        if len(head) > _MAX_HEAD_BYTES:
            raise ProxyError(f"{self._proxy} answers with an endless head; is it an HTTP proxy?")
        if not end:
            return False
        status_line, *lines = head.decode("latin-1").split("\r\n")
        version, _, status = status_line.partition(" ")
        code, _, reason = status.partition(" ")
        if not version.startswith("HTTP/1.") or len(code) != 3 or not code.isdecimal():
            raise ProxyError(f"{self._proxy} does not answer in HTTP/1.1; is it an HTTP proxy?")
        if not code.startswith("2"):
            offers = [
                value.strip()
                for name, _, value in (line.partition(":") for line in lines)
                if name.strip().lower() == "proxy-authenticate"
            ]
            raise refusal(self._proxy, self._target, int(code), reason, offers)
        if rest:
            raise ProxyError(f"{self._proxy} sent {len(rest)} bytes that nobody asked for")
        return True


def refusal(
    proxy: WebProxy, target: str, code: int, reason: str = "", offers: list[str] | None = None
) -> ProxyError:
    """Return what to say of a proxy that answers with a status that is no success.

    `offers` are the values of its Proxy-Authenticate headers, where they are known.
    """
    said = f"{code} {reason}".strip()[:_MAX_SHOWN]
    if code == 407:
        return ProxyError(f"{proxy} {_about_credentials(proxy, offers or [])}")
    if code in {401, 403, 405}:
        advice = f"have it allow CONNECT to {target}, or list that in NO_PROXY"
    elif code in {502, 503, 504}:
        advice = f"it cannot reach {target}; its log says why"
    else:
        advice = f"it must allow CONNECT to {target}"
    return ProxyError(f"{proxy} answered {said!r}: {advice}")


def _about_credentials(proxy: WebProxy, offers: list[str]) -> str:
    schemes = {offer.split(" ")[0].lower() for offer in offers}
    if schemes and "basic" not in schemes:
        known = ", ".join(sorted(schemes))[:_MAX_SHOWN]
        return f"wants {known!r} and no Basic authentication: have it let this host through without"
    if proxy.authorization:
        return f"does not take the user and password in {proxy.variable}"
    return f"asks who we are: {proxy.variable} must be http://USER:PASSWORD@HOST:PORT"


def _authority(host: str, port: int) -> str:
    try:
        name = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    # The host may be named by somebody else: it must not be able to add a line.
    if not name or not name.isprintable() or " " in name:
        raise ProxyError(f"{host!r} is no host that a proxy could connect to")
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
