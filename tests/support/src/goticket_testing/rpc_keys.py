"""Keys with which tests let services call each other."""

import base64
import hashlib
from importlib import import_module
from pkgutil import walk_packages

import goticket
import grpc
from goticket_contracts.rpc_callers import allowed_callers, callers_of
from goticket_platform.rpc.assertions import AssertionSigner
from goticket_platform.rpc.client import open_channel
from goticket_platform.rpc.keys import public_key
from goticket_platform.settings import CallerKeys


def rpc_methods() -> list[str]:
    """Return the full names of all RPCs, such as "/package.Service/Method"."""
    modules = [
        import_module(found.name)
        for found in walk_packages(goticket.__path__, "goticket.")
        if found.name.endswith("_pb2")
    ]
    return [
        f"/{service.full_name}/{method.name}"
        for module in modules
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    ]


def rpc_key(service: str) -> bytes:
    """Return the raw private key of a service: the same one in every test."""
    return hashlib.sha256(service.encode()).digest()


def rpc_key_setting(service: str) -> str:
    """Return the key as the environment has it."""
    return base64.b64encode(rpc_key(service)).decode()


def signer(service: str) -> AssertionSigner:
    """Return what signs the calls of a service."""
    return AssertionSigner(service, rpc_key(service))


def caller_keys(service: str) -> CallerKeys:
    """Return the public keys of the services that may call this one."""
    return {
        caller: (base64.b64decode(public_key(rpc_key_setting(caller))),)
        for caller in callers_of(service)
    }


def caller_keys_setting(service: str) -> str:
    """Return these keys as the environment has them."""
    return ";".join(
        f"{caller}={public_key(rpc_key_setting(caller))}" for caller in sorted(callers_of(service))
    )


class AllowedCallerSigner(AssertionSigner):
    """Signs each call as a service that may make it: as the gateway where that may."""

    def __init__(self) -> None:
        super().__init__("gateway", rpc_key("gateway"))

    def sign(self, method: str, request: bytes) -> str:
        """Return the assertion of an allowed caller."""
        callers = allowed_callers(method)
        if "gateway" in callers:
            return super().sign(method, request)
        return signer(min(callers)).sign(method, request)


def open_service_channel(target: str) -> grpc.aio.Channel:
    """Open a channel to a service whose calls are those of an allowed caller."""
    return open_channel(target, AllowedCallerSigner())
