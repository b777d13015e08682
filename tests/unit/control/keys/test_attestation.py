"""Attestation keys: an uncompressed point, or nothing."""

from __future__ import annotations

import pytest

from control.keys import AttestationPublic, KeyTextError

TEXT = "hwattestpub:04" + "ab" * 64


def test_text_round_trips() -> None:
    assert AttestationPublic.from_text(TEXT).to_text() == TEXT


def test_no_key_is_the_empty_text() -> None:
    none = AttestationPublic.from_text("")
    assert none.is_zero
    assert none.to_text() == ""


@pytest.mark.parametrize("text", ["hwattestpub:", "hwattestpub:02" + "ab" * 64, TEXT[:-2]])
def test_anything_but_an_uncompressed_point_is_refused(text: str) -> None:
    with pytest.raises(KeyTextError):
        AttestationPublic.from_text(text)
