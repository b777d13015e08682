"""What a server makes of a client's first frame."""

from __future__ import annotations

import pytest

from control.keys import MeshKey, NodePrivate
from relay.errors import Fault, RemoteFaultError
from relay.frames import ClientInfoFrame, PresenceFlag, encode
from relay.handshake import ClientInfo, greeting_box, seal_greeting
from relay.welcome import ServerIdentity, read_greeting
from tests.support.relay_pair import MESH_KEY, SeededEntropy

ENTROPY = SeededEntropy()
SERVER = ServerIdentity(NodePrivate.generate(ENTROPY), ENTROPY, mesh_key=MESH_KEY)
CLIENT = NodePrivate.generate(ENTROPY)


def greeting(info: ClientInfo, private: NodePrivate = CLIENT) -> bytearray:
    sealed = seal_greeting(info, greeting_box(private, SERVER.public), ENTROPY)
    return bytearray(encode(ClientInfoFrame(private.public.raw, sealed)))


def test_greeting_is_read_once_it_is_whole() -> None:
    stream = greeting(ClientInfo(app_name="x"))
    length = len(stream)
    stream += b"more"
    assert all(read_greeting(stream, end, SERVER) is None for end in range(length))
    found = read_greeting(stream, length + 4, SERVER)
    assert found is not None
    client, stop = found
    assert stop == length
    assert (client.key, client.info.app_name) == (CLIENT.public.raw, "x")
    assert not client.is_mesh_peer


@pytest.mark.parametrize(
    ("info", "is_ideal", "flags"),
    [
        (ClientInfo(), True, PresenceFlag.REGULAR),
        (ClientInfo(), False, PresenceFlag.NOT_IDEAL),
        (ClientInfo(is_prober=True), True, PresenceFlag.PROBER),
        (ClientInfo(mesh_key=MESH_KEY.to_secret_text()), True, PresenceFlag.MESH_PEER),
    ],
)
def test_watchers_are_told_what_a_client_is(
    info: ClientInfo, is_ideal: bool, flags: PresenceFlag
) -> None:
    found = read_greeting(stream := greeting(info), len(stream), SERVER)
    assert found is not None
    assert found[0].flags(is_ideal=is_ideal) is flags


@pytest.mark.parametrize(
    ("stream", "fault"),
    [
        (greeting(ClientInfo(), SERVER.private), Fault.SELF_CONNECT),
        (greeting(ClientInfo(mesh_key=MeshKey(bytes(32)).to_secret_text())), Fault.BAD_MESH_KEY),
        (bytearray(encode(ClientInfoFrame(bytes(32), bytes(60)))), Fault.BAD_BOX),
        (bytearray(encode(ClientInfoFrame(CLIENT.public.raw, bytes(60)))), Fault.BAD_BOX),
    ],
)
def test_client_that_proves_nothing_is_at_fault(stream: bytearray, fault: Fault) -> None:
    with pytest.raises(RemoteFaultError) as caught:
        read_greeting(stream, len(stream), SERVER)
    assert caught.value.fault is fault
