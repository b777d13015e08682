"""Sealing between two keys."""

from __future__ import annotations

import pytest

from control.keys import BoxOpenError, DiscoPrivate

ANN, BO, EVE = (DiscoPrivate(bytes([n]) * 32) for n in (1, 2, 3))


def nonce(length: int) -> bytes:
    return bytes(range(length))


def test_the_other_side_opens_what_was_sealed() -> None:
    sealed = ANN.box_with(BO.public).seal(b"hello", nonce)
    assert BO.box_with(ANN.public).open(sealed) == b"hello"


def test_sealed_form_is_nonce_then_tag_and_ciphertext() -> None:
    sealed = ANN.box_with(BO.public).seal(b"hello", nonce)
    assert sealed[:24] == nonce(24)
    assert len(sealed) == 24 + 16 + 5


def test_nobody_else_opens_it() -> None:
    sealed = ANN.box_with(BO.public).seal(b"hello", nonce)
    with pytest.raises(BoxOpenError):
        EVE.box_with(ANN.public).open(sealed)


@pytest.mark.parametrize("length", [0, 24, 39])
def test_short_input_is_refused(length: int) -> None:
    with pytest.raises(BoxOpenError, match="shorter"):
        ANN.box_with(BO.public).open(bytes(length))


def test_secret_is_not_shown() -> None:
    assert repr(ANN.box_with(BO.public)) == "Box(<redacted>)"
