"""TLS contexts of the server, and the certificate that lets clients start fast.

A relay appends to its chain one certificate that nobody verifies: its common name carries the
server's DERP key, so a client knows it before the first HTTP byte (relay reference 1.4).
"""

from __future__ import annotations

import os
import ssl
import tempfile
import warnings
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from relay.dial import PIN_PREFIX
from relay.frames import PROTOCOL_VERSION
from relay.upgrade import META_CERT_PREFIX

__all__ = [
    "SelfSigned",
    "client_context",
    "kept_self_signed",
    "meta_certificate",
    "self_signed",
    "server_context",
]

META_VALIDITY = timedelta(days=30)
SELF_SIGNED_VALIDITY = timedelta(days=3650)
"""Clients pin the certificate itself, so its end would be nothing but a day without a relay."""


@dataclass(frozen=True, slots=True)
class SelfSigned:
    """A certificate that clients pin instead of verifying it, and its key."""

    certificate: x509.Certificate
    key: bytes = field(repr=False)
    """PEM."""
    is_new: bool = False
    """Whether it was made just now, so that nobody can have pinned it."""

    @property
    def pem(self) -> bytes:
        """The certificate alone."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def pin(self) -> str:
        """What clients are told, as `CertName` of the DERP map."""
        return PIN_PREFIX + self.certificate.fingerprint(hashes.SHA256()).hex()


def meta_certificate(public_key: bytes, now: datetime) -> bytes:
    """Return the PEM of the certificate that tells the server's DERP key."""
    signer = ed25519.Ed25519PrivateKey.generate()
    # 71 characters, above what X.509 allows for a common name; the field's clients look for it
    # all the same, and TLS libraries do not parse what they do not verify.
    text = META_CERT_PREFIX + public_key.hex()
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text, _validate=False)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(signer.public_key())
        .serial_number(PROTOCOL_VERSION)
        .not_valid_before(now - META_VALIDITY)
        .not_valid_after(now + META_VALIDITY)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(signer, None)
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def self_signed(host: str, now: datetime) -> tuple[bytes, bytes, str]:
    """Make a certificate for a relay without a public name.

    Returns the PEM of certificate and key, and the SHA-256 of the certificate in hex: clients pin
    it as `sha256-raw:<hex>`.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + SELF_SIGNED_VALIDITY)
        .add_extension(x509.SubjectAlternativeName([_alternative(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem_key = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    digest = certificate.fingerprint(hashes.SHA256()).hex()
    return certificate.public_bytes(serialization.Encoding.PEM), pem_key, digest


def kept_self_signed(path: Path, host: str, now: datetime) -> SelfSigned:
    """Return the certificate in a file that only its owner can read, made where there is none.

    Made anew as well, which breaks the pins of clients, when it is for another host or over.
    Raises ValueError for a file that holds something else, and OSError.
    """
    if path.exists():
        found = _read_self_signed(path.read_bytes())
        if _is_good_for(found.certificate, host, now):
            return found
    certificate, key, _digest = self_signed(host, now)
    fresh = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(certificate + key)
    fresh.replace(path)
    return replace(_read_self_signed(path.read_bytes()), is_new=True)


def _read_self_signed(pem: bytes) -> SelfSigned:
    certificate = x509.load_pem_x509_certificate(pem)
    private = serialization.load_pem_private_key(pem, None)
    if private.public_key() != certificate.public_key():
        raise ValueError("certificate and key do not belong together")
    return SelfSigned(
        certificate,
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


def _is_good_for(certificate: x509.Certificate, host: str, now: datetime) -> bool:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return _alternative(host) in names and now < certificate.not_valid_after_utc


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def server_context(certificate: bytes, key: bytes, public_key: bytes | None) -> ssl.SSLContext:
    """Return the context to listen with, from PEM text.

    `public_key` adds the certificate that lets clients start fast. Raises ssl.SSLError or
    ValueError for PEM that does not fit together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # The upgrade does not exist in HTTP/2: it must not be negotiated.
    context.set_alpn_protocols(["http/1.1"])
    extra = meta_certificate(public_key, datetime.now(UTC)) if public_key else b""
    with tempfile.TemporaryDirectory() as directory:
        # The ssl module loads chains from files only; the directory is ours alone.
        chain = Path(directory, "chain.pem")
        secret = Path(directory, "key.pem")
        chain.write_bytes(certificate.rstrip() + b"\n" + extra)
        secret.touch(mode=0o600)
        secret.write_bytes(key)
        context.load_cert_chain(chain, secret)
    return context


def client_context(*, verify: bool = True, authorities: str | None = None) -> ssl.SSLContext:
    """Return the context to dial with. Without `verify` the caller must pin the certificate."""
    context = ssl.create_default_context(cadata=authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
