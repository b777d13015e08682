"""Rows sealed and opened in place."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from node.datapath.buffers import LEAD, TAG
from node.datapath.sealing import RowViews
from node.wireguard.primitives import nonce

STRIDE = LEAD + 48 + TAG
HEAD = 4 | 7 << 32
CIPHER = ChaCha20Poly1305(bytes(range(32)))


def sealed_rows(count: int) -> tuple[bytearray, RowViews, list[bytes]]:
    buffer = bytearray(count * STRIDE)
    plain = [bytes([n + 1]) * 48 for n in range(count)]
    for n, text in enumerate(plain):
        buffer[n * STRIDE + LEAD : n * STRIDE + LEAD + 48] = text
    views = RowViews(memoryview(buffer))
    views.seal(CIPHER, (HEAD, 5), 0, STRIDE, count)
    return buffer, views, plain


def row(buffer: bytearray, number: int) -> bytes:
    return bytes(buffer[number * STRIDE + LEAD : (number + 1) * STRIDE])


def test_rows_are_sealed_with_their_own_counters() -> None:
    buffer, _, plain = sealed_rows(6)
    for n, text in enumerate(plain):
        assert row(buffer, n) == CIPHER.encrypt(nonce(5 + n), text, None)
        head = bytes(buffer[n * STRIDE : n * STRIDE + LEAD])
        assert head == b"\4\0\0\0\7\0\0\0" + (5 + n).to_bytes(8, "little")


def test_shorter_last_row_ends_where_it_is_told() -> None:
    buffer = bytearray(b"\1" * (2 * STRIDE))
    RowViews(memoryview(buffer)).seal(CIPHER, (HEAD, 0), 0, STRIDE, 2, 2 * STRIDE - 16)
    assert row(buffer, 1)[:-16] == CIPHER.encrypt(nonce(1), b"\1" * 32, None)
    assert row(buffer, 1)[-16:] == b"\1" * 16


@pytest.mark.parametrize("wrong", [[], [0], [5], [2, 3], [0, 1, 2, 3, 4, 5]], ids=str)
def test_rows_with_a_wrong_tag_are_named_and_the_others_opened(wrong: list[int]) -> None:
    buffer, views, plain = sealed_rows(6)
    for n in wrong:
        buffer[n * STRIDE + LEAD + 7] ^= 1
    rows = views.rows(0, STRIDE, 6)
    assert rows.are_alike()
    assert rows.read_numbers()
    assert views.open(CIPHER, rows) == wrong
    for n in set(range(6)) - set(wrong):
        assert row(buffer, n)[:48] == plain[n]


def test_rows_out_of_order_are_opened_with_the_counters_that_they_show() -> None:
    buffer, views, plain = sealed_rows(6)
    swapped = bytes(buffer[STRIDE : 2 * STRIDE]) + bytes(buffer[:STRIDE])
    buffer[: 2 * STRIDE] = swapped
    rows = views.rows(0, STRIDE, 6)
    assert not rows.read_numbers()
    assert views.open(CIPHER, rows) == []
    assert [row(buffer, n)[:48] for n in range(3)] == [plain[1], plain[0], plain[2]]


def test_row_to_another_receiver_is_noticed() -> None:
    buffer, views, _ = sealed_rows(6)
    buffer[3 * STRIDE + 4] ^= 1
    assert not views.rows(0, STRIDE, 6).are_alike()
