"""Any message survives the wire, any bytes are a message or a fault."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from control.keys import DiscoPrivate
from node.disco import geneve, messages
from node.disco.errors import DiscoError
from node.disco.sealing import MAGIC, DiscoSealer
from node.transport.endpoint import Endpoint
from tests.support.relay_pair import SeededEntropy

ENTROPY = SeededEntropy()
ALICE, BOB = (DiscoSealer(DiscoPrivate.generate(ENTROPY), ENTROPY) for _ in range(2))
ALICE.set_peers([BOB.public])
BOB.set_peers([ALICE.public])

transactions = st.binary(min_size=12, max_size=12)
keys = st.binary(min_size=32, max_size=32)
endpoints = st.builds(
    Endpoint,
    st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(
        lambda ip: getattr(ip, "ipv4_mapped", None) or ip
    ),
    st.integers(0, 65535),
)
u64 = st.integers(0, 2**64 - 1)
u32 = st.integers(0, 2**32 - 1)
relays = st.builds(
    messages.RelayEndpoint,
    keys,
    st.tuples(keys, keys),
    u64,
    u32,
    u64,
    u64,
    st.lists(endpoints, min_size=1, max_size=4).map(tuple),
)
any_message: st.SearchStrategy[messages.Message] = st.one_of(
    st.builds(messages.Ping, transactions, keys, st.integers(0, 1400)),
    st.builds(messages.Pong, transactions, endpoints),
    st.builds(messages.CallMeMaybe, st.lists(endpoints, max_size=8).map(tuple)),
    st.builds(messages.RelayBinding, st.sampled_from(messages.BindStep), u32, u32, keys, keys),
    st.builds(messages.CallMeMaybeVia, relays),
    st.builds(messages.AllocateRequest, st.tuples(keys, keys), u32),
    st.builds(messages.AllocateResponse, u32, relays),
)


@given(any_message)
def test_sealed_message_arrives_as_it_was(message: messages.Message) -> None:
    assert BOB.open(ALICE.seal(message, BOB.public)) == (ALICE.public, message)


@given(st.binary(max_size=200))
def test_any_plaintext_is_a_message_or_a_fault(plaintext: bytes) -> None:
    try:
        messages.parse(plaintext)
    except DiscoError:
        return


@given(
    st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=160).map(lambda rest: MAGIC + ALICE.public + rest),
    )
)
def test_any_packet_that_nobody_sealed_is_a_fault(packet: bytes) -> None:
    try:
        BOB.open(packet)
    except DiscoError:
        return
    raise AssertionError("opened what nobody sealed")


@given(any_message, st.integers(0), st.integers(0, 7))
def test_one_flipped_bit_is_noticed(message: messages.Message, at: int, bit: int) -> None:
    packet = bytearray(ALICE.seal(message, BOB.public))
    packet[at % len(packet)] ^= 1 << bit
    try:
        BOB.open(bytes(packet))
    except DiscoError:
        return
    raise AssertionError("a changed packet was taken for a good one")


@given(st.binary(max_size=20))
def test_any_bytes_are_a_geneve_header_or_a_fault(packet: bytes) -> None:
    try:
        header = geneve.parse_header(packet)
    except DiscoError:
        return
    assert geneve.parse_header(geneve.pack_header(header)) == header
