"""The CONNECT exchange, without sockets."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.proxy.exchange import ConnectExchange
from node.proxy.settings import ProxyError, WebProxy

PLAIN = WebProxy("proxy.example", 3128, "HTTPS_PROXY")
WITH_USER = WebProxy("proxy.example", 3128, "HTTPS_PROXY", user="ann", password="pw")  # noqa: S106  of a test
OPEN = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n"


def exchange(proxy: WebProxy = PLAIN) -> ConnectExchange:
    return ConnectExchange(proxy, "relay.example", 443)


def test_request_is_the_head_of_rfc_9110() -> None:
    assert exchange().request == (
        b"CONNECT relay.example:443 HTTP/1.1\r\nHost: relay.example:443\r\n"
        b"User-Agent: postern\r\n\r\n"
    )


def test_request_shows_credentials_to_the_proxy() -> None:
    assert b"\r\nProxy-Authorization: Basic YW5uOnB3\r\n\r\n" in exchange(WITH_USER).request


@pytest.mark.parametrize(
    ("host", "authority"),
    [("2001:db8::1", b"[2001:db8::1]:443"), ("bücher.example", b"xn--bcher-kva.example:443")],
)
def test_other_spellings_of_hosts(host: str, authority: bytes) -> None:
    request = ConnectExchange(PLAIN, host, 443).request
    assert request.startswith(b"CONNECT " + authority + b" HTTP/1.1\r\nHost: " + authority)


@pytest.mark.parametrize("host", ["", "a\r\nX: y", "a b", "a\x00", "ü" * 64])
def test_host_cannot_add_a_line(host: str) -> None:
    with pytest.raises(ProxyError, match="no host"):
        ConnectExchange(PLAIN, host, 443)


@given(st.lists(st.integers(1, len(OPEN)), max_size=6))
def test_any_chunking_opens_once_the_head_is_whole(cuts: list[int]) -> None:
    machine = exchange()
    edges = [0, *sorted(set(cuts)), len(OPEN)]
    opened = [machine.receive(OPEN[start:stop]) for start, stop in pairwise(edges) if start < stop]
    assert opened == [False] * (len(opened) - 1) + [True]


@given(st.binary(max_size=200))
def test_any_bytes_open_nothing_or_are_refused(data: bytes) -> None:
    try:
        assert not exchange().receive(data)
    except ProxyError as error:
        assert "proxy.example:3128" in str(error)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "allow CONNECT to relay.example:443.*NO_PROXY"),
        (b"HTTP/1.1 405 No\r\n\r\n", "allow CONNECT to relay.example:443"),
        (b"HTTP/1.0 502 Bad Gateway\r\n\r\n", "cannot reach relay.example:443"),
        (b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", "302 Found"),
        (b"HTTP/1.1 500\r\n\r\n", "500"),
        (b"SSH-2.0-x\r\n\r\n", "is it an HTTP proxy"),
        (b"HTTP/1.1 2000 x\r\n\r\n", "is it an HTTP proxy"),
        (b"x" * 20_000, "endless head"),
        (OPEN + b"early", "5 bytes that nobody asked for"),
    ],
)
def test_refusals_say_what_to_do(answer: bytes, words: str) -> None:
    with pytest.raises(ProxyError, match=words):
        exchange().receive(answer)


@pytest.mark.parametrize(
    ("proxy", "offers", "words"),
    [
        (PLAIN, b"Proxy-Authenticate: Basic realm=x\r\n", "USER:PASSWORD@HOST:PORT"),
        (PLAIN, b"", "USER:PASSWORD@HOST:PORT"),
        (WITH_USER, b"Proxy-Authenticate: Basic realm=x\r\n", "does not take the user"),
        (
            WITH_USER,
            b"Proxy-Authenticate: NTLM\r\nProxy-Authenticate: Negotiate\r\n",
            "negotiate, ntlm.*no Basic",
        ),
    ],
)
def test_refused_credentials(proxy: WebProxy, offers: bytes, words: str) -> None:
    with pytest.raises(ProxyError, match=words) as caught:
        exchange(proxy).receive(b"HTTP/1.1 407 Who?\r\n" + offers + b"\r\n")
    assert "ann" not in str(caught.value)
    assert "pw" not in str(caught.value)
