"""Rows sealed and opened in place."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from node.datapath.sealing import RowViews
from node.datapath.segment import LEAD, TAG
from node.wireguard.primitives import nonce

STRIDE = LEAD + 48 + TAG
CIPHER = ChaCha20Poly1305(bytes(range(32)))


def sealed_rows(count: int) -> tuple[bytearray, RowViews, list[bytes]]:
    buffer = bytearray(count * STRIDE)
    plain = [bytes([n + 1]) * 48 for n in range(count)]
    for n, text in enumerate(plain):
        buffer[n * STRIDE + LEAD : n * STRIDE + LEAD + 48] = text
    views = RowViews(memoryview(buffer))
    views.seal(CIPHER, 5, 0, STRIDE, count)
    return buffer, views, plain


def row(buffer: bytearray, number: int) -> bytes:
    return bytes(buffer[number * STRIDE + LEAD : (number + 1) * STRIDE])


def test_rows_are_sealed_with_their_own_counters() -> None:
    buffer, _, plain = sealed_rows(6)
    for n, text in enumerate(plain):
        assert row(buffer, n) == CIPHER.encrypt(nonce(5 + n), text, None)
        assert buffer[n * STRIDE + 8 : n * STRIDE + LEAD] == (5 + n).to_bytes(8, "little")


def test_shorter_last_row_ends_where_it_is_told() -> None:
    buffer = bytearray(b"\1" * (2 * STRIDE))
    RowViews(memoryview(buffer)).seal(CIPHER, 0, 0, STRIDE, 2, 2 * STRIDE - 16)
    assert row(buffer, 1)[:-16] == CIPHER.encrypt(nonce(1), b"\1" * 32, None)
    assert row(buffer, 1)[-16:] == b"\1" * 16


@pytest.mark.parametrize("wrong", [[], [0], [5], [2, 3], [0, 1, 2, 3, 4, 5]], ids=str)
def test_rows_with_a_wrong_tag_are_named_and_the_others_opened(wrong: list[int]) -> None:
    buffer, views, plain = sealed_rows(6)
    for n in wrong:
        buffer[n * STRIDE + LEAD + 7] ^= 1
    assert views.open(CIPHER, 0, STRIDE, 6) == wrong
    for n in set(range(6)) - set(wrong):
        assert row(buffer, n)[:48] == plain[n]
