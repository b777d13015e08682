"""A certificate authority and a server certificate for trials on machines of one's own.

The authority signs this one certificate and its key is forgotten, so that trusting it trusts
nothing else, whoever may read its files later.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from control.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["TrialCertificates", "make_trial_certificates"]

# What clients accept at most for a server (CA/Browser Forum, 6.3.2).
_LIFE: Final = timedelta(days=397)
_CLOCKS_DIFFER: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class TrialCertificates:
    """Where the files are, all of them with mode 0600."""

    authority: Path
    certificate: Path
    key: Path
    fingerprint: str
    """SHA-256 of the authority's certificate, as `openssl x509 -fingerprint` prints it."""


def make_trial_certificates(
    directory: Path, hosts: Sequence[str], now: datetime
) -> TrialCertificates:
    """Write `ca.pem`, `server.pem` and `server.key` for names and addresses.

    Raises InvalidRequestError for a name that is none, FileExistsError where a file is there.
    """
    names = [_general_name(host) for host in hosts]
    issuer_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = _name("Postern trial authority")
    authority = (
        _builder(issuer, issuer, issuer_key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(is_authority=True), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(issuer_key.public_key()), critical=False
        )
        .sign(issuer_key, hashes.SHA256())
    )
    certificate = (
        _builder(_name(hosts[0]), issuer, server_key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(is_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
        .sign(issuer_key, hashes.SHA256())
    )
    made = TrialCertificates(
        directory / "ca.pem",
        directory / "server.pem",
        directory / "server.key",
        authority.fingerprint(hashes.SHA256()).hex(":").upper(),
    )
    pem = serialization.Encoding.PEM
    _write(made.authority, authority.public_bytes(pem))
    _write(made.certificate, certificate.public_bytes(pem))
    _write(
        made.key,
        server_key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
    return made


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + _LIFE)
    )


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    # A common name holds 64 characters; clients read the alternative names.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        pass
    if not host or not host.isascii() or not host.replace("-", "").replace(".", "").isalnum():
        raise InvalidRequestError(f"host {host!r}: a DNS name or an address")
    return x509.DNSName(host)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
