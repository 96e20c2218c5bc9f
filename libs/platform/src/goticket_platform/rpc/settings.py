"""Settings of processes that call other services, and of those that serve calls.

A process's class names these before its service's own class. So the prefix of its variables
is the service's.
"""

from goticket_contracts.rpc_callers import callers_of
from pydantic import Field, field_validator

from goticket_platform.settings import CallerKeys, CallerKeysSetting, Ed25519Key, ServiceSettings


class RpcClientSettings(ServiceSettings):
    """Settings of a process that calls other services."""

    rpc_key: Ed25519Key = Field(repr=False)
    """Ed25519 seed in base64 that signs this service's calls to other services."""


class RpcServerSettings(ServiceSettings):
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
