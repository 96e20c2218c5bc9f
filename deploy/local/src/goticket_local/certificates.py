"""A certificate authority of this checkout, and a certificate for each service."""

import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 90
RENEWAL_DAYS = 30
"""A certificate with fewer days left is replaced at the next start."""
LOOPBACK = ("127.0.0.1", "::1")


@dataclass(frozen=True)
class _Authority:
    certificate: x509.Certificate
    key: EllipticCurvePrivateKey


def ensure_certificates(folder: Path, services: Iterable[str], *, renew: bool = False) -> None:
    """Write `ca.pem`, and `<service>.pem` with `<service>.key` for each service.

    Certificates that are valid for long enough stay, unless `renew` asks for new ones. Then the
    authority stays, so that running processes accept the new certificates.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = _stored_authority(folder)
    if authority is None:
        authority, renew = _new_authority(folder), True
    for service in services:
        file = folder / f"{service}.pem"
        if renew or not (folder / f"{service}.key").exists() or not _is_valid_for_long(file):
            _write_certificate(folder, service, authority)


def _stored_authority(folder: Path) -> _Authority | None:
    certificate, key = folder / "ca.pem", folder / "ca.key"
    if not key.exists() or not _is_valid_for_long(certificate):
        return None
    try:
        private = load_pem_private_key(key.read_bytes(), password=None)
    except ValueError:
        return None
    if not isinstance(private, EllipticCurvePrivateKey):
        return None
    return _Authority(x509.load_pem_x509_certificate(certificate.read_bytes()), private)


def _new_authority(folder: Path) -> _Authority:
    key = generate_private_key(SECP256R1())
    name = _name("GoTicket local authority")
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(name, name, key, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(_identifier(key), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_pair(folder, "ca", certificate, key)
    return _Authority(certificate, key)


def _write_certificate(folder: Path, service: str, authority: _Authority) -> None:
    key = generate_private_key(SECP256R1())
    names = [
        x509.DNSName(service),
        x509.DNSName("localhost"),
        *(x509.IPAddress(ipaddress.ip_address(address)) for address in LOOPBACK),
    ]
    # A service calls and is called with the same certificate.
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    issuer = authority.certificate
    certificate = (
        _builder(_name(service), issuer.subject, key, CERTIFICATE_DAYS)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
        .sign(authority.key, hashes.SHA256())
    )
    _write_pair(folder, service, certificate, key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=days))
    )


def _identifier(key: EllipticCurvePrivateKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _is_valid_for_long(file: Path) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError):
        return False
    remaining = certificate.not_valid_after_utc - datetime.now(UTC)
    return remaining >= timedelta(days=RENEWAL_DAYS)


def _write_pair(
    folder: Path, name: str, certificate: x509.Certificate, key: EllipticCurvePrivateKey
) -> None:
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(folder / f"{name}.key", secret)
    _write(folder / f"{name}.pem", certificate.public_bytes(Encoding.PEM))


def _write(file: Path, content: bytes) -> None:
    # Renamed when it is complete: a running process may read the file at any time.
    draft = file.with_name(f"{file.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
    draft.replace(file)
