"""What the environment says about proxies."""

from __future__ import annotations

import pytest

from node.proxy.settings import DIRECT, ProxyError, ProxySettings, WebProxy

PROXY = "http://proxy.example:3128"


def chosen(environment: dict[str, str], host: str, scheme: str = "https", port: int = 443) -> str:
    """Return the variable whose proxy leads to a host, empty for none."""
    found = ProxySettings.from_environment(environment).choose(scheme, (host,), port)
    return found.variable if found else ""


def test_environment_without_proxies_means_none() -> None:
    assert chosen({}, "control.example") == ""
    assert chosen({"HTTPS_PROXY": " "}, "control.example") == ""
    assert DIRECT.choose("https", ("control.example",), 443) is None


@pytest.mark.parametrize(
    ("variables", "scheme", "taken"),
    [
        (("HTTPS_PROXY",), "https", "HTTPS_PROXY"),
        (("HTTPS_PROXY", "https_proxy", "ALL_PROXY"), "https", "https_proxy"),
        (("HTTP_PROXY",), "http", "HTTP_PROXY"),
        (("HTTP_PROXY",), "https", ""),
        (("HTTPS_PROXY",), "http", ""),
        (("ALL_PROXY", "HTTP_PROXY"), "https", "ALL_PROXY"),
        (("all_proxy", "ALL_PROXY"), "http", "all_proxy"),
    ],
)
def test_each_scheme_has_its_variable(variables: tuple[str, ...], scheme: str, taken: str) -> None:
    assert chosen(dict.fromkeys(variables, PROXY), "control.example", scheme) == taken


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_needs_no_proxy(host: str) -> None:
    assert chosen({"ALL_PROXY": PROXY}, host) == ""


@pytest.mark.parametrize(
    ("exceptions", "host", "is_excepted"),
    [
        ("*", "control.example", True),
        ("other.example, control.example", "control.example", True),
        ("example", "control.example", True),
        (".example", "control.example", True),
        ("*.example", "CONTROL.Example.", True),
        ("xample", "control.example", False),
        ("trol.example", "control.example", False),
        ("control.example:443", "control.example", True),
        ("control.example:8443", "control.example", False),
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.10", False),
        ("192.0.2.0/24", "192.0.2.10", True),
        ("192.0.2.10:443", "192.0.2.10", True),
        ("192.0.2.10:80", "192.0.2.10", False),
        ("2001:db8::/32", "2001:db8::1", True),
        ("[2001:db8::1]:443", "2001:db8::1", True),
        ("[2001:db8::1]:80", "2001:db8::1", False),
        ("2001:db8::/32", "192.0.2.1", False),
        ("1", "192.0.2.1", False),
        (" , ", "control.example", False),
        (".", "control.example", False),
    ],
)
def test_exceptions(exceptions: str, host: str, is_excepted: bool) -> None:
    for variable in ("no_proxy", "NO_PROXY"):
        taken = chosen({"HTTPS_PROXY": PROXY, variable: exceptions}, host)
        assert taken == ("" if is_excepted else "HTTPS_PROXY")


def test_host_is_excepted_by_any_of_its_names() -> None:
    settings = ProxySettings.from_environment({"HTTPS_PROXY": PROXY, "NO_PROXY": "192.0.2.0/24"})
    assert settings.choose("https", ("relay.example", "192.0.2.1"), 443) is None
    assert settings.choose("https", ("relay.example", "198.51.100.1"), 443) is not None


@pytest.mark.parametrize(
    ("text", "url", "authorization"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128", ""),
        ("proxy.example:3128", "http://proxy.example:3128", ""),
        ("http://proxy.example/", "http://proxy.example:80", ""),
        ("https://proxy.example", "https://proxy.example:443", ""),
        ("http://[2001:db8::1]:3128", "http://[2001:db8::1]:3128", ""),
        # "user:p@ss" and "user:", in Base64 (RFC 7617).
        ("http://user:p%40ss@proxy.example:1", "http://proxy.example:1", "Basic dXNlcjpwQHNz"),
        ("user@proxy.example:1", "http://proxy.example:1", "Basic dXNlcjo="),
    ],
)
def test_proxy_url(text: str, url: str, authorization: str) -> None:
    proxy = WebProxy.parse(text, "HTTPS_PROXY")
    assert (proxy.url, proxy.authorization) == (url, authorization)


@pytest.mark.parametrize(
    "text",
    [
        "socks5://u:secret@proxy.example",
        "http://u:secret@",
        "http://u:secret@h:port",
        "http://u:secret@h:99999",
        "http://u:secret@h\x00st",
        "http://u:secret@a b",
        "http://u:secret@[::1",
        "secret://",
        "http://u:1/secret@h:3128",
        "http://u:1#secret@h:3128",
    ],
)
def test_what_is_no_proxy_is_not_passed_by_and_never_shown(text: str) -> None:
    settings = ProxySettings.from_environment({"ALL_PROXY": text})
    with pytest.raises(ProxyError, match="ALL_PROXY") as caught:
        settings.choose("https", ("control.example",), 443)
    assert "secret" not in str(caught.value)
    assert settings.usable() == ()


def test_credentials_are_never_shown() -> None:
    text = "http://user:secret@proxy.example:3128"
    settings = ProxySettings.from_environment({"ALL_PROXY": text})
    proxy = settings.choose("https", ("control.example",), 443)
    for shown in (repr(settings), repr(proxy), str(proxy)):
        assert "secret" not in shown
        assert "user" not in shown
    assert [proxy.host for proxy in settings.usable()] == ["proxy.example"]
