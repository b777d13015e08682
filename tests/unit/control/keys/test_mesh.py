"""Mesh keys: a bare secret that compares but does not show."""

from __future__ import annotations

import pytest

from control.keys import KeyTextError, MeshKey

TEXT = "7d87784dcf291211af0641ea239e34b1ab6c67489a7baee0ed2c0f051c808d53"


def test_text_round_trips() -> None:
    assert MeshKey.from_secret_text(TEXT).to_secret_text() == TEXT


def test_equality_is_by_value() -> None:
    assert MeshKey.from_secret_text(TEXT) == MeshKey.from_secret_text(TEXT.upper())
    assert MeshKey.from_secret_text(TEXT) != MeshKey(bytes(32))


def test_secret_is_not_shown() -> None:
    assert TEXT[:8] not in repr(MeshKey.from_secret_text(TEXT))


@pytest.mark.parametrize("text", ["", TEXT[:-1], TEXT + "\n", "mesh:" + TEXT])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(KeyTextError):
        MeshKey.from_secret_text(text)
