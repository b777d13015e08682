"""Laws of the text and sealed forms of keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.keys import (
    BoxOpenError,
    Curve25519Public,
    DiscoPrivate,
    DiscoPublic,
    KeyTextError,
    MachinePublic,
    NodePrivate,
    NodePublic,
)

RAW = st.binary(min_size=32, max_size=32)
KINDS = st.sampled_from([DiscoPublic, MachinePublic, NodePublic])
ANN, BO = NodePrivate(bytes([1]) * 32), NodePrivate(bytes([2]) * 32)


@given(kind=KINDS, raw=RAW)
def test_public_text_round_trips(kind: type[Curve25519Public], raw: bytes) -> None:
    assert kind.from_text(kind(raw).to_text()).raw == raw


@given(raw=RAW)
def test_private_text_round_trips(raw: bytes) -> None:
    key = DiscoPrivate(raw)
    assert DiscoPrivate.from_secret_text(key.to_secret_text()) == key


@given(text=st.text(max_size=90))
def test_any_text_parses_or_is_refused_in_one_way(text: str) -> None:
    try:
        key = NodePublic.from_text(text)
    except KeyTextError:
        return
    assert key.to_text() == text.lower()


@given(cleartext=st.binary(max_size=200), data=st.data())
def test_a_flipped_bit_never_opens(cleartext: bytes, data: st.DataObject) -> None:
    sealed = bytearray(ANN.box_with(BO.public).seal(cleartext, bytes))
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BoxOpenError):
        BO.box_with(ANN.public).open(bytes(sealed))
