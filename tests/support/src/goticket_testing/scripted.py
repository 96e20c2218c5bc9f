"""Fake gRPC services: real servers on loopback with the responses that a test sets."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import Message
from goticket.booking.v1 import booking_pb2_grpc
from goticket.catalog.v1 import catalog_pb2_grpc
from goticket.identity.v1 import identity_pb2_grpc
from goticket_kernel.errors import FieldError
from goticket_platform.ops import Health
from goticket_platform.rpc.errors import ErrorTable
from goticket_platform.rpc.server import serve_grpc


class ScriptedError(Exception):
    """An error that a fake service responds with."""

    def __init__(
        self, status: grpc.StatusCode, code: str, message: str = "No.", **fields: str
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.fields = [FieldError(name, text) for name, text in fields.items()]


class _ScriptedErrorTable(ErrorTable):
    def status_of(self, error: BaseException) -> grpc.StatusCode | None:
        return error.status if isinstance(error, ScriptedError) else None


Answer = Message | Exception | Callable[[Any], Message | Awaitable[Message]]
"""A response, an error to raise, or a function of the request that returns the response."""


@dataclass
class ScriptedBackends:
    """Identity, catalog and booking on one port.

    `answers`, `requests` and `metadata` have the names of RPC methods as keys.
    """

    target: str = ""
    answers: dict[str, Answer] = field(default_factory=dict)
    requests: dict[str, list[Any]] = field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    health: Health = field(default_factory=Health)

    def request_of(self, method: str) -> Any:
        """Return the only request of `method`."""
        (request,) = self.requests[method]
        return request

    def was_not_called(self, *methods: str) -> bool:
        """Whether none of these methods was called; without names, no method at all."""
        return not [name for name in self.requests if not methods or name in methods]

    @asynccontextmanager
    async def serving(self, listen: str = "127.0.0.1:0") -> AsyncIterator["ScriptedBackends"]:
        """Serve on `listen`; `target` is set to the address."""
        self.health.ready = True
        table = _ScriptedErrorTable(domain="scripted.goticket", statuses={})
        async with serve_grpc(
            listen, table, self._register, [], self.health, verifier=None
        ) as port:
            self.target = f"127.0.0.1:{port}"
            yield self

    def _register(self, server: grpc.aio.Server) -> None:
        identity_pb2_grpc.add_IdentityServiceServicer_to_server(
            self._scripted(identity_pb2_grpc.IdentityServiceServicer), server
        )
        catalog_pb2_grpc.add_CatalogServiceServicer_to_server(
            self._scripted(catalog_pb2_grpc.CatalogServiceServicer), server
        )
        booking_pb2_grpc.add_BookingServiceServicer_to_server(
            self._scripted(booking_pb2_grpc.BookingServiceServicer), server
        )

    def _scripted(self, servicer: Any) -> Any:
        methods = [name for name in vars(servicer) if not name.startswith("_")]
        return type("Scripted", (servicer,), {name: self._method(name) for name in methods})()

    def _method(self, name: str) -> Callable[..., Any]:
        async def answer(_self: object, request: Message, context: Any) -> Message:
            self.requests.setdefault(name, []).append(request)
            self.metadata[name] = dict(context.invocation_metadata())
            scripted = self.answers[name]
            if isinstance(scripted, Exception):
                raise scripted
            if isinstance(scripted, Message):
                return scripted
            response = scripted(request)
            return response if isinstance(response, Message) else await response

        return answer
