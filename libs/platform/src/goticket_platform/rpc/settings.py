"""Settings of processes that call other services, and of those that serve calls.

A process's class names these before its service's own class. So the prefix of its variables
is the service's.
"""

from pathlib import Path
from typing import Self

from goticket_contracts.rpc_callers import callers_of
from pydantic import Field, field_validator, model_validator

from goticket_platform.rpc.tls import InvalidCertificates, TlsFiles, read_certificates
from goticket_platform.settings import CallerKeys, CallerKeysSetting, Ed25519Key, ServiceSettings


class TlsSettings(ServiceSettings):
    """Mutual TLS between services: all three files, or none for plain connections."""

    tls_cert_file: str = ""
    """PEM file with the certificate of this service and its chain. It is read again after a
    change, as are the other two."""
    tls_key_file: str = ""
    """PEM file with the private key of that certificate."""
    tls_ca_file: str = ""
    """PEM file with the authorities whose certificates other services have."""

    @property
    def tls(self) -> TlsFiles | None:
        """The files; None for plain connections."""
        if not self.tls_cert_file:
            return None
        return TlsFiles(Path(self.tls_cert_file), Path(self.tls_key_file), Path(self.tls_ca_file))

    @model_validator(mode="after")
    def _tls_is_complete(self) -> Self:
        given = {bool(self.tls_cert_file), bool(self.tls_key_file), bool(self.tls_ca_file)}
        if len(given) > 1:
            raise ValueError("TLS_CERT_FILE, TLS_KEY_FILE and TLS_CA_FILE must be set together")
        if self.tls is not None:
            try:
                read_certificates(self.tls)
            except InvalidCertificates as error:
                raise ValueError(str(error)) from error
        return self


class RpcClientSettings(TlsSettings):
    """Settings of a process that calls other services."""

    rpc_key: Ed25519Key = Field(repr=False)
    """Ed25519 seed in base64 that signs this service's calls to other services."""


class RpcServerSettings(TlsSettings):
    """Settings of a process that serves calls."""

    grpc_listen: str
    """Address `host:port` of the gRPC server; port 0 for any free port. Without TLS the host
    must be reachable by the calling services only: the loopback interface or the pod's."""
    grpc_reflection: bool = False
    """Let any client list the RPCs and their messages (gRPC reflection); for development."""
    rpc_caller_keys: CallerKeysSetting
    """Public keys in base64 of the services that may call this one, newest first:
    `gateway=<key>,<older key>;catalog=<key>`."""

    @field_validator("rpc_caller_keys")
    @classmethod
    def _has_every_caller(cls, keys: CallerKeys) -> CallerKeys:
        service = str(cls.model_config.get("env_prefix", "")).rstrip("_").lower()
        missing = sorted(callers_of(service) - keys.keys())
        if missing:
            raise ValueError(f"has no key of {', '.join(missing)}")
        return keys
