"""Sealed greetings: vectors, JSON edges, keys that must not be used."""

from __future__ import annotations

import pytest

from relay.errors import Fault, RemoteFaultError
from relay.handshake import (
    ClientInfo,
    KeyPair,
    MalformedKeyError,
    MeshKey,
    ServerInfo,
    open_client_info,
    open_server_info,
    seal_client_info,
    seal_server_info,
)
from tests.support.relay_pair import SeededEntropy
from tests.support.vectors import load

VECTORS = load("relay", "derp")
SERVER = KeyPair(bytes.fromhex(VECTORS["server_private"]))
NODE_A = KeyPair(bytes.fromhex(VECTORS["node_a_private"]))
SHARED = SERVER.shared_with(NODE_A.public)
CLIENT_CASES = [c for c in VECTORS["frames"] if c["name"].startswith("ClientInfo")]
SERVER_CASES = [c for c in VECTORS["frames"] if c["name"].startswith("ServerInfo")]


def test_public_keys_follow_from_private_ones() -> None:
    assert SERVER.public.hex() == VECTORS["server_public"]
    assert NODE_A.public.hex() == VECTORS["node_a_public"]


@pytest.mark.parametrize("case", CLIENT_CASES, ids=lambda c: c["name"])
def test_client_info_vector(case: dict[str, str]) -> None:
    info = ClientInfo.from_json(case["json"].encode())
    sealed = seal_client_info(info, NODE_A.shared_with(SERVER.public), bytes.fromhex(case["nonce"]))
    assert sealed == bytes.fromhex(case["bytes"])[5 + 32 :]
    assert open_client_info(sealed, SHARED) == info


@pytest.mark.parametrize("case", SERVER_CASES, ids=lambda c: c["name"])
def test_server_info_vector(case: dict[str, str]) -> None:
    info = ServerInfo.from_json(case["json"].encode())
    sealed = seal_server_info(info, SHARED, bytes.fromhex(case["nonce"]))
    assert sealed == bytes.fromhex(case["bytes"])[5:]
    assert open_server_info(sealed, NODE_A.shared_with(SERVER.public)) == info


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
    other = KeyPair.generate(SeededEntropy())
    sealed = seal_client_info(ClientInfo(), NODE_A.shared_with(other.public), bytes(24))
    with pytest.raises(RemoteFaultError) as caught:
        open_client_info(sealed, SHARED)
    assert caught.value.fault is Fault.BAD_BOX


def test_public_key_of_low_order_shares_nothing() -> None:
    with pytest.raises(RemoteFaultError) as caught:
        SERVER.shared_with(bytes(32))
    assert caught.value.fault is Fault.BAD_BOX


def test_generated_key_is_clamped() -> None:
    private = bytes.fromhex(KeyPair.generate(lambda count: b"\xff" * count).private_hex())
    assert (private[0], private[31]) == (0xF8, 0x7F)


def test_reprs_hide_secrets() -> None:
    mesh = MeshKey(b"\x5a" * 32)
    text = repr((NODE_A, mesh, ClientInfo(mesh_key=mesh.hex())))
    assert "5a5a" not in text
    assert VECTORS["node_a_private"][:8] not in text


def test_mesh_key_file_may_have_white_space() -> None:
    assert MeshKey.parse(f" {'ab' * 32}\n").matches("ab" * 32)


@pytest.mark.parametrize("text", ["", "ab" * 31, "zz" * 32, "00" * 32])
def test_malformed_mesh_key(text: str) -> None:
    with pytest.raises(MalformedKeyError):
        MeshKey.parse(text)
