"""Mutual TLS between services: certificates from files that are read again when they change."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates

from goticket_platform.logs import get_logger

CHECK_SECONDS = 1.0
"""Least time between two checks of the files for a change."""

logger = get_logger(__name__)


class InvalidCertificates(ValueError):
    """The TLS files cannot be read, or key and certificate do not belong together."""


@dataclass(frozen=True)
class TlsFiles:
    """PEM files: the certificate with its chain, its private key, and the accepted authorities."""

    certificate: Path
    key: Path
    authorities: Path


@dataclass(frozen=True)
class Certificates:
    """The content of the files, complete and consistent."""

    certificate: bytes
    key: bytes
    authorities: bytes


def read_certificates(files: TlsFiles) -> Certificates:
    """Read and check the files.

    Raises:
        InvalidCertificates: a file is missing or no PEM, or the key is not the certificate's.
    """
    try:
        content = Certificates(
            files.certificate.read_bytes(), files.key.read_bytes(), files.authorities.read_bytes()
        )
        certificate, *_ = load_pem_x509_certificates(content.certificate)
        load_pem_x509_certificates(content.authorities)
        key = load_pem_private_key(content.key, password=None)
    except (OSError, ValueError, TypeError) as error:
        raise InvalidCertificates(f"the TLS files cannot be read: {error}") from error
    if key.public_key() != certificate.public_key():
        raise InvalidCertificates("the TLS key is not that of the certificate")
    return content


class CertificateReloader:
    """Has the newest valid content of the files; `clock` returns seconds.

    A renewal writes one file after the other. So files that do not belong together are no
    error: the former content stays until they do.
    """

    def __init__(self, files: TlsFiles, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the files. Raises `InvalidCertificates`."""
        self._files = files
        self._clock = clock
        self.current = read_certificates(files)
        self._next_check = clock() + CHECK_SECONDS

    def renewed(self) -> bool:
        """Return whether this check found new content; it is then the current one."""
        now = self._clock()
        if now < self._next_check:
            return False
        self._next_check = now + CHECK_SECONDS
        try:
            content = read_certificates(self._files)
        except InvalidCertificates as error:
            logger.warning("TLS files are not valid, the former ones stay", reason=str(error))
            return False
        if content == self.current:
            return False
        self.current = content
        logger.info("TLS certificate renewed")
        return True


def server_credentials(reloader: CertificateReloader) -> grpc.ServerCredentials:
    """Return credentials that require a certificate of the client by an accepted authority.

    A renewed certificate serves every connection that opens after the renewal.
    """

    def configuration() -> grpc.ServerCertificateConfiguration:
        content = reloader.current
        return grpc.ssl_server_certificate_configuration(
            [(content.key, content.certificate)], content.authorities
        )

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        # gRPC calls this for every new connection. None keeps the configuration.
        return configuration() if reloader.renewed() else None

    return grpc.dynamic_ssl_server_credentials(
        configuration(),
        fetch,  # type: ignore[arg-type]  # its stub does not know that None is allowed
        require_client_authentication=True,
    )


def channel_credentials(content: Certificates) -> grpc.ChannelCredentials:
    """Return credentials that prove this process and accept servers of the authorities."""
    return grpc.ssl_channel_credentials(content.authorities, content.key, content.certificate)
