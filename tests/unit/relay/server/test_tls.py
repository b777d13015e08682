"""Certificates of the server: kept beside the key, and made anew when they must be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization

from relay.server.tls import SELF_SIGNED_VALIDITY, kept_self_signed, self_signed

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_certificate_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "relay.pem"
    first = kept_self_signed(path, "192.0.2.1", NOW)
    again = kept_self_signed(path, "192.0.2.1", NOW + timedelta(days=3000))
    assert first.is_new
    assert not again.is_new
    assert again.pin == first.pin
    assert again.key == first.key
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["relay.pem"]


@pytest.mark.parametrize(
    ("host", "later"),
    [("192.0.2.2", timedelta()), ("192.0.2.1", SELF_SIGNED_VALIDITY)],
)
def test_another_host_or_the_end_of_it_makes_a_new_one(
    host: str, later: timedelta, tmp_path: Path
) -> None:
    path = tmp_path / "relay.pem"
    first = kept_self_signed(path, "192.0.2.1", NOW)
    other = kept_self_signed(path, host, NOW + later)
    assert other.is_new
    assert other.pin != first.pin


def test_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "relay.pem"
    certificate, _key, _digest = self_signed("x", NOW)
    path.write_bytes(certificate + self_signed("x", NOW)[1])
    with pytest.raises(ValueError, match="belong together"):
        kept_self_signed(path, "x", NOW)


def test_key_is_not_shown() -> None:
    certificate, key, _digest = self_signed("x", NOW)
    assert b"PRIVATE" in key
    assert b"PRIVATE" not in certificate


def test_representation_hides_the_key(tmp_path: Path) -> None:
    kept = kept_self_signed(tmp_path / "relay.pem", "x", NOW)
    assert "PRIVATE" not in repr(kept)
    private = serialization.load_pem_private_key(kept.key, None)
    assert private.public_key() == kept.certificate.public_key()
