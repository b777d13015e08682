"""Tailnet-lock keys: published texts and signatures."""

from __future__ import annotations

import pytest

from control.keys import KeyTextError, LockPrivate, LockPublic

SEED = "fe1a5f6807436fe7517477c4a2c878750e18b34d54379a3261d2c1eff92a2910"
PUBLIC = "c6787b6792e3aeda6aaa160fdf74e647310dab7a754ba781a716926499a1b9b8"


def test_public_half_follows_from_the_seed() -> None:
    key = LockPrivate.from_secret_text("nlpriv:" + SEED + PUBLIC)
    assert key.public.to_text() == "nlpub:" + PUBLIC
    assert key.public.to_cli_text() == "tlpub:" + PUBLIC
    assert key.to_secret_text() == "nlpriv:" + SEED + PUBLIC


def test_both_prefixes_are_read() -> None:
    assert LockPublic.from_text("tlpub:" + PUBLIC) == LockPublic.from_text("nlpub:" + PUBLIC)


def test_halves_that_disagree_are_refused() -> None:
    with pytest.raises(KeyTextError, match="does not belong"):
        LockPrivate.from_secret_text("nlpriv:" + SEED + PUBLIC[:-2] + "00")


def test_signature_verifies_only_over_its_message() -> None:
    key = LockPrivate(bytes.fromhex(SEED))
    signature = key.sign(b"message")
    assert key.public.is_signature(signature, b"message")
    assert not key.public.is_signature(signature, b"massage")
    assert not LockPrivate(bytes(32)).public.is_signature(signature, b"message")
    assert not key.public.is_signature(signature[:-1], b"message")


def test_private_half_is_not_shown() -> None:
    assert SEED[:8] not in repr(LockPrivate(bytes.fromhex(SEED)))


def test_zero_stands_for_none() -> None:
    assert LockPublic.from_text("nlpub:" + "0" * 64).is_zero
    assert LockPublic.zero() == LockPublic.from_text("nlpub:" + "0" * 64)
