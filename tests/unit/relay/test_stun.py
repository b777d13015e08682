"""STUN codec against the recorded vectors."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Any

import pytest

from relay import stun
from tests.support.vectors import load

VECTORS = load("relay", "stun")
TRANSACTION = bytes.fromhex(VECTORS["tx"])


def host_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def test_request_vector() -> None:
    assert stun.encode_request(TRANSACTION).hex() == VECTORS["request"]
    assert stun.parse_request(bytes.fromhex(VECTORS["request"])) == TRANSACTION


@pytest.mark.parametrize("case", VECTORS["responses"])
def test_client_reads_response(case: dict[str, str]) -> None:
    host, port = host_port(case["addr"])
    binding = stun.parse_response(bytes.fromhex(case["bytes"]))
    assert binding == stun.Binding(TRANSACTION, ip_address(host), port)


@pytest.mark.parametrize("case", VECTORS["responses"][:2])
def test_server_writes_response(case: dict[str, str]) -> None:
    host, port = host_port(case["addr"])
    reply = stun.respond(bytes.fromhex(VECTORS["request"]), ip_address(host), port)
    assert reply.hex() == case["bytes"]


@pytest.mark.parametrize("case", VECTORS["server_requests"])
def test_server_answers_only_our_requests(case: dict[str, Any]) -> None:
    datagram = bytes.fromhex(case["bytes"])
    try:
        stun.respond(datagram, ip_address("192.0.2.1"), 1)
        replied = True
    except stun.NotStunError:
        replied = False
    assert replied == case["reply"]


def test_mapped_ipv4_is_told_as_ipv4() -> None:
    mapped = IPv6Address("::ffff:203.0.113.9")
    reply = stun.encode_response(stun.Binding(TRANSACTION, mapped, 4242))
    assert reply.hex() == VECTORS["responses"][0]["bytes"]


def test_reply_is_not_worth_reflecting() -> None:
    request = stun.encode_request(TRANSACTION)
    reply = stun.respond(request, ip_address("192.0.2.1"), 1)
    assert len(reply) <= len(request)


def test_attribute_that_overruns_the_message_is_malformed() -> None:
    datagram = bytearray.fromhex(VECTORS["request"])
    datagram[23] = 0xFF
    with pytest.raises(stun.NotStunError) as caught:
        stun.parse_request(bytes(datagram))
    assert caught.value.refusal is stun.Refusal.MALFORMED


def test_success_without_address_is_refused() -> None:
    empty = bytes.fromhex("010100002112a442") + TRANSACTION
    with pytest.raises(stun.NotStunError) as caught:
        stun.parse_response(empty)
    assert caught.value.refusal is stun.Refusal.NO_ADDRESS
