"""Whom the control server's certificate may come from."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

import pytest

from node.agent.trust import trust
from node.state.preferences import PreferencesError
from relay.server.tls import self_signed


def test_own_authority_is_added_to_the_systems() -> None:
    certificate, _, _ = self_signed("control.example", datetime.now(UTC))
    context = trust(certificate.decode())
    assert len(context.get_ca_certs()) >= len(ssl.create_default_context().get_ca_certs())
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize("text", ["x", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"])
def test_text_without_a_certificate_is_refused(text: str) -> None:
    with pytest.raises(PreferencesError, match="--trust"):
        trust(text)
