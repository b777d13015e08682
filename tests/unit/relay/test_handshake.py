"""Sealed greetings: vectors, JSON edges, keys that must not be used."""

from __future__ import annotations

import pytest

from control.keys import NodePrivate
from relay.errors import Fault, RemoteFaultError
from relay.handshake import (
    ClientInfo,
    ServerInfo,
    greeting_box,
    open_client_info,
    open_server_info,
    seal_greeting,
)
from tests.support.relay_pair import SeededEntropy
from tests.support.vectors import load

VECTORS = load("relay", "derp")
SERVER = NodePrivate(bytes.fromhex(VECTORS["server_private"]))
NODE_A = NodePrivate(bytes.fromhex(VECTORS["node_a_private"]))
BOX = greeting_box(SERVER, NODE_A.public.raw)
CLIENT_CASES = [c for c in VECTORS["frames"] if c["name"].startswith("ClientInfo")]
SERVER_CASES = [c for c in VECTORS["frames"] if c["name"].startswith("ServerInfo")]


@pytest.mark.parametrize("case", CLIENT_CASES, ids=lambda c: c["name"])
def test_client_info_vector(case: dict[str, str]) -> None:
    info = ClientInfo.from_json(case["json"].encode())
    nonce = bytes.fromhex(case["nonce"])
    sealed = seal_greeting(info, greeting_box(NODE_A, SERVER.public.raw), lambda _count: nonce)
    assert sealed == bytes.fromhex(case["bytes"])[5 + 32 :]
    assert open_client_info(sealed, BOX) == info


@pytest.mark.parametrize("case", SERVER_CASES, ids=lambda c: c["name"])
def test_server_info_vector(case: dict[str, str]) -> None:
    info = ServerInfo.from_json(case["json"].encode())
    nonce = bytes.fromhex(case["nonce"])
    sealed = seal_greeting(info, BOX, lambda _count: nonce)
    assert sealed == bytes.fromhex(case["bytes"])[5:]
    assert open_server_info(sealed, greeting_box(NODE_A, SERVER.public.raw)) == info


def test_json_keys_match_without_regard_to_case() -> None:
    info = ClientInfo.from_json(b'{"VERSION":2,"canackpings":true,"isProber":true,"appname":"x"}')
    assert info == ClientInfo(2, can_ack_pings=True, is_prober=True, app_name="x")


def test_absent_fields_are_not_written() -> None:
    assert ClientInfo(version=0, can_ack_pings=False).to_json() == b'{"CanAckPings":false}'


def test_empty_mesh_key_is_refused_where_absent_is_fine() -> None:
    with pytest.raises(RemoteFaultError) as caught:
        ClientInfo.from_json(b'{"meshKey":"","version":2}')
    assert caught.value.fault is Fault.BAD_MESH_KEY


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{",
        b'{"version":"2"}',
        b'{"version":true}',
        b'{"CanAckPings":1}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_unreadable_json_is_a_fault(text: bytes) -> None:
    with pytest.raises(RemoteFaultError) as caught:
        ClientInfo.from_json(text)
    assert caught.value.fault is Fault.BAD_JSON


def test_box_for_another_key_does_not_open() -> None:
    other = NodePrivate.generate(SeededEntropy())
    sealed = seal_greeting(ClientInfo(), greeting_box(NODE_A, other.public.raw), SeededEntropy())
    with pytest.raises(RemoteFaultError) as caught:
        open_client_info(sealed, BOX)
    assert caught.value.fault is Fault.BAD_BOX


def test_public_key_of_low_order_shares_nothing() -> None:
    with pytest.raises(RemoteFaultError) as caught:
        greeting_box(SERVER, bytes(32))
    assert caught.value.fault is Fault.BAD_BOX


def test_repr_hides_the_mesh_key() -> None:
    assert "5a5a" not in repr(ClientInfo(mesh_key="5a" * 32))
