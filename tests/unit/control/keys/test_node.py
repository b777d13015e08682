"""What only node keys have: a binary form and a spoiled form for expired peers."""

from __future__ import annotations

import pytest

from control.keys import KeyTextError, NodePublic

KEY = NodePublic.from_text(
    "nodekey:f5da348ac1dc6d0f00e34f94fd979212bd20d848deedf32069755c99cbae813e"
)


def test_binary_form_is_np_and_the_key() -> None:
    assert KEY.to_binary() == b"np" + KEY.raw
    assert NodePublic.from_binary(KEY.to_binary()) == KEY


@pytest.mark.parametrize("data", [b"", b"np", b"mp" + KEY.raw, b"np" + KEY.raw + b"\0"])
def test_other_binary_forms_are_refused(data: bytes) -> None:
    with pytest.raises(KeyTextError):
        NodePublic.from_binary(data)


def test_expired_form_prints_as_bad() -> None:
    expired = KEY.expired()
    assert expired.to_text() == (
        "nodekey:6da774d5d7746d0f00e34f94fd979212bd20d848deedf32069755c99cbae813e"
    )
    assert expired.short() == "[bad01]"
