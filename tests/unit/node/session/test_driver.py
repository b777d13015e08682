"""Server URLs and waits between attempts."""

from __future__ import annotations

import pytest

from node.session.driver import Backoff, ControlUrl


@pytest.mark.parametrize(
    ("text", "authority", "port"),
    [
        ("https://h", "h", 443),
        ("https://h:8443", "h:8443", 8443),
        ("http://h:8080/", "h:8080", 8080),
        ("http://[2001:db8::1]:80", "[2001:db8::1]", 80),
    ],
)
def test_url_gives_authority_and_port(text: str, authority: str, port: int) -> None:
    url = ControlUrl.parse(text)
    assert (url.authority, url.port) == (authority, port)


@pytest.mark.parametrize("text", ["", "h", "ftp://h", "https://"])
def test_other_urls_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        ControlUrl.parse(text)


def test_waits_grow_to_a_limit_and_begin_again() -> None:
    backoff = Backoff(random=lambda: 1.0, first_s=1, most_s=5)
    assert [backoff.next_s() for _ in range(4)] == [1, 2, 4, 5]
    backoff.reset()
    assert backoff.next_s() == 1


def test_waits_are_shortened_at_random() -> None:
    assert Backoff(random=lambda: 0.0, first_s=1).next_s() == 0.5
