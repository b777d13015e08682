"""The upgrade request and the heads that answer it."""

from __future__ import annotations

import pytest

from node.session.upgrade import UpgradeError, UpgradeResponse, upgrade_request

GOOD = (
    b"HTTP/1.1 101 Switching Protocols\r\n"
    b"upgrade: tailscale-control-protocol\r\nConnection: upgrade\r\n\r\n"
)


def test_request_has_the_published_form() -> None:
    request = upgrade_request("control.example:8443", bytes(101))
    assert request.startswith(b"POST /ts2021 HTTP/1.1\r\nHost: control.example:8443\r\n")
    assert b"\r\nContent-Length: 0\r\n" in request
    assert request.endswith(b"\r\n\r\n")


def test_host_cannot_smuggle_a_header() -> None:
    with pytest.raises(ValueError, match="not a host"):
        upgrade_request("x\r\nEvil: 1", bytes(101))


def test_bytes_after_the_head_are_kept() -> None:
    response = UpgradeResponse()
    assert [response.receive(bytes([byte])) for byte in GOOD[:-1]] == [None] * (len(GOOD) - 1)
    assert response.receive(GOOD[-1:] + b"\x02\x00\x30") == b"\x02\x00\x30"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\nmissing next protocol", "missing next protocol"),
        (b"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\n\r\n", "another protocol"),
        (b"HTTP/1.1 101 OK\r\n\r\n", "another protocol"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "answered"),
        (b"x" * 9000, "too long"),
    ],
)
def test_other_answers_are_errors(data: bytes, said: str) -> None:
    with pytest.raises(UpgradeError, match=said):
        UpgradeResponse().receive(data)
