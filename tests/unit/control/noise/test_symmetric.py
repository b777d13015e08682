"""Hash and chaining key after every step of the published handshake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from control.keys import MachinePrivate, MachinePublic
from control.noise.symmetric import SymmetricState

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("ts2021.json").read_text())
TRACE = VECTORS["handshake"]["initiation_trace"]


def private(name: str) -> MachinePrivate:
    return MachinePrivate(bytes.fromhex(VECTORS["keys"][name]["private_clamped"]))


def test_initial_hash_is_the_hashed_name() -> None:
    assert SymmetricState().handshake_hash.hex() == TRACE[0]["h"]


def test_every_step_of_the_initiation_gives_the_published_values() -> None:
    server, machine, ephemeral = map(private, ("server_static", "machine", "client_ephemeral"))
    state = SymmetricState()
    hashes, keys = [state.handshake_hash.hex()], []
    for data in (bytes.fromhex(TRACE[1]["input"]), server.public.raw, ephemeral.public.raw):
        state.mix_hash(data)
        hashes.append(state.handshake_hash.hex())
    for key_pair, payload in ((ephemeral, machine.public.raw), (machine, b"")):
        keys.append(state.mix_dh(key_pair, server.public))
        hashes.append(state.handshake_hash.hex())
        state.encrypt_and_hash(keys[-1], payload)
        hashes.append(state.handshake_hash.hex())
    assert hashes == [step["h"] for step in TRACE]
    assert [key.hex() for key in keys] == [step["k"] for step in TRACE if "k" in step]


def test_decrypting_mixes_the_same_hash_as_encrypting() -> None:
    sender, receiver, key = SymmetricState(), SymmetricState(), bytes(32)
    sealed = sender.encrypt_and_hash(key, b"payload")
    assert receiver.decrypt_and_hash(key, sealed) == b"payload"
    assert receiver.handshake_hash == sender.handshake_hash


def test_secret_is_the_same_from_both_ends() -> None:
    ann, bo = private("machine"), private("server_static")
    here, there = SymmetricState(), SymmetricState()
    assert here.mix_dh(ann, bo.public) == there.mix_dh(bo, MachinePublic(ann.public.raw))
