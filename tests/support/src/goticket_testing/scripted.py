"""Scripted gRPC services: real servers on loopback that answer what a test told them to."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import Message
from goticket.booking.v1 import booking_pb2_grpc
from goticket.catalog.v1 import catalog_pb2_grpc
from goticket.identity.v1 import identity_pb2_grpc
from goticket_platform.ops import Health
from goticket_platform.rpc.errors import ErrorTable
from goticket_platform.rpc.server import serve_grpc


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one input field."""

    field: str
    message: str


class Refusal(Exception):
    """What a scripted service refuses with."""

    def __init__(
        self, status: grpc.StatusCode, code: str, message: str = "No.", **fields: str
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.fields = [FieldError(name, text) for name, text in fields.items()]


class _AsTheySay(ErrorTable):
    def status_of(self, error: BaseException) -> grpc.StatusCode | None:
        return error.status if isinstance(error, Refusal) else None


Answer = Message | Exception | Callable[[Any], Message | Awaitable[Message]]


@dataclass
class ScriptedBackends:
    """Identity, catalog and booking on one port; `answers` and `requests` are by method name."""

    target: str = ""
    answers: dict[str, Answer] = field(default_factory=dict)
    requests: dict[str, list[Any]] = field(default_factory=dict)
    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    health: Health = field(default_factory=Health)

    def asked(self, method: str) -> Any:
        """Return the only request that `method` got."""
        (request,) = self.requests[method]
        return request

    def never_asked(self, *methods: str) -> bool:
        """Tell whether none of these (of any, without names) was called."""
        return not [name for name in self.requests if not methods or name in methods]

    @asynccontextmanager
    async def serving(self, listen: str = "127.0.0.1:0") -> AsyncIterator["ScriptedBackends"]:
        """Serve; `target` says where."""
        self.health.ready = True
        table = _AsTheySay(domain="scripted.goticket", statuses={})
        async with serve_grpc(listen, table, self._register, [], self.health) as port:
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
            made = scripted(request)
            return made if isinstance(made, Message) else await made

        return answer
