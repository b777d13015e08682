"""Keys in text, and what they refuse to show."""

from __future__ import annotations

import pytest

from node.wireguard.keys import InvalidKeyError, SecretKey, decode_key, encode_key

PRIVATE = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
PUBLIC = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw="


def test_public_key_equals_wg_pubkey() -> None:
    assert encode_key(SecretKey.from_text(PRIVATE).public()) == PUBLIC


def test_text_round_trips() -> None:
    assert SecretKey.from_text(PRIVATE).reveal_text() == PRIVATE


@pytest.mark.parametrize(
    "text", ["", "a", PRIVATE[:-1], PRIVATE + "=", PRIVATE[:-2] + "l=", "é" * 44, PRIVATE + "\n"]
)
def test_bad_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidKeyError):
        decode_key(text)


def test_generated_key_is_clamped() -> None:
    raw = SecretKey.generate(lambda n: b"\xff" * n).reveal()
    assert raw[0] & 7 == 0
    assert raw[31] & 0xC0 == 0x40


def test_wipe_overwrites() -> None:
    key = SecretKey(b"\1" * 32)
    key.wipe()
    assert key.reveal() == bytes(32)


def test_repr_is_redacted() -> None:
    assert repr(SecretKey(b"\1" * 32)) == "SecretKey(<redacted>)"
