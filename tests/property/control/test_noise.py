"""Laws of the channel: chunking changes nothing, and no changed bit gets through."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.keys import MachinePrivate
from control.noise import (
    HandshakeError,
    Initiator,
    NoiseError,
    RecordError,
    RecordOpener,
    RecordSealer,
    Responder,
)
from control.noise.early import EarlyPayloadDecoder

MACHINE, CONTROL = MachinePrivate(bytes([7]) * 32), MachinePrivate(bytes([9]) * 32)


def entropy(seed: str) -> bytes:
    return hashlib.sha256(seed.encode()).digest()


def initiate(seed: str = "client") -> Initiator:
    return Initiator(
        version=145, machine=MACHINE, server=CONTROL.public, entropy=lambda _: entropy(seed)
    )


def respond(initiation: bytes, seed: str = "server") -> Responder:
    return Responder(initiation, control=CONTROL, entropy=lambda _: entropy(seed))


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(at % (len(data) + 1) for at in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@given(seeds=st.tuples(st.text(max_size=9), st.text(max_size=9)), version=st.integers(0, 65535))
def test_both_ends_of_any_handshake_agree(seeds: tuple[str, str], version: int) -> None:
    client = Initiator(
        version=version,
        machine=MACHINE,
        server=CONTROL.public,
        entropy=lambda _: entropy(seeds[0]),
    )
    server = respond(client.initiation, seeds[1])
    assert client.receive(server.response) == (server.keys, b"")
    assert (server.version, server.machine) == (version, MACHINE.public)


@given(bit=st.integers(0, 8 * 101 - 1))
def test_no_changed_bit_of_an_initiation_is_accepted(bit: int) -> None:
    changed = bytearray(initiate().initiation)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(HandshakeError):
        respond(bytes(changed))


@given(bit=st.integers(0, 8 * 51 - 1))
def test_no_changed_bit_of_a_response_is_accepted(bit: int) -> None:
    client = initiate()
    changed = bytearray(respond(client.initiation).response)
    changed[bit // 8] ^= 1 << bit % 8
    try:
        finished = client.receive(bytes(changed))
    except HandshakeError:
        return
    # An error frame that announces more text than has come is waited for, never accepted.
    assert finished is None


@given(data=st.binary(max_size=200))
def test_arbitrary_initiations_only_raise_handshake_errors(data: bytes) -> None:
    with pytest.raises(HandshakeError):
        respond(data)


@given(
    plaintexts=st.lists(st.binary(max_size=5000), max_size=5),
    cuts=st.lists(st.integers(0, 100_000), max_size=12),
)
def test_chunking_of_records_changes_nothing(plaintexts: list[bytes], cuts: list[int]) -> None:
    sealer, opener = RecordSealer(bytes(32)), RecordOpener(bytes(32))
    stream = b"".join(map(sealer.seal, plaintexts))
    assert b"".join(map(opener.receive, cut(stream, cuts))) == b"".join(plaintexts)


@given(plaintext=st.binary(max_size=300), data=st.data())
def test_no_changed_bit_of_a_record_is_accepted(plaintext: bytes, data: st.DataObject) -> None:
    record = bytearray(RecordSealer(bytes(32)).seal(plaintext))
    bit = data.draw(st.integers(0, 8 * len(record) - 1))
    record[bit // 8] ^= 1 << bit % 8
    opener = RecordOpener(bytes(32))
    try:
        opened = opener.receive(bytes(record))
    except RecordError:
        return
    # A longer announced length leaves the record incomplete: nothing comes out of it.
    assert opened == b""


@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=5))
def test_arbitrary_plaintext_only_raises_noise_errors(data: bytes, cuts: list[int]) -> None:
    decoder = EarlyPayloadDecoder()
    try:
        passed = b"".join(map(decoder.receive, cut(data, cuts)))
    except NoiseError:
        return
    assert data.endswith(passed)
