"""A gRPC server with health, reflection, deadlines, rich errors, traces, metrics and drain."""

# The stubs make grpc's classes generic; at run time they are not.
from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

import grpc
import structlog
from google.protobuf.message import DecodeError
from grpc_health.v1 import health as grpc_health
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from opentelemetry.trace import SpanKind, Status, StatusCode
from prometheus_client import Counter, Histogram

from goticket_platform.logs import get_logger
from goticket_platform.ops import Health
from goticket_platform.postgres import is_transient
from goticket_platform.rpc.assertions import (
    METADATA_KEY,
    AssertionRefused,
    AssertionVerifier,
    require_no_actor_unless_vouched,
)
from goticket_platform.rpc.errors import (
    CALL_REFUSED,
    DEADLINE_EXCEEDED,
    DETAILS_KEY,
    INTERNAL,
    MALFORMED,
    UNAVAILABLE,
    ErrorTable,
    rich_status,
)
from goticket_platform.rpc.tls import CertificateReloader, TlsFiles, server_credentials
from goticket_platform.telemetry import extracted_context, tracer

DEFAULT_DEADLINE_SECONDS = 10.0
"""Deadline of a call without one of its own."""
DRAIN_SECONDS = 15.0
"""Time limit of calls in flight after the stop; shorter than the process's grace period."""
HEALTH_SECONDS = 1.0
"""Interval between updates of the gRPC health service from the process's checks."""
MIN_PING_MILLISECONDS = 5_000
"""Least time between two pings of a client. It must be shorter than `rpc.client`'s interval,
or the server would close idle connections for too many pings."""
MAX_MESSAGE_BYTES = 4 * 1024 * 1024

GRPC_HANDLED = Counter("goticket_grpc_server_handled", "Calls completed", ["method", "status"])
GRPC_HANDLING_SECONDS = Histogram(
    "goticket_grpc_server_handling_seconds",
    "Time to handle a call",
    ["method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

logger = get_logger(__name__)


_HEALTH = "/grpc.health.v1."
"""Health checks need no assertion: the orchestrator has no key."""
_STREAMS = (_HEALTH, "/grpc.reflection.")
"""Services that may have streams."""


class MalformedRequest(Exception):
    """The bytes of a request are not a message of its method."""


class _Violation(Protocol):
    field: str
    message: str


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Adds trace, log context, deadline, error mapping and metrics to every unary call.

    One interceptor instead of the instrumentation library's chain: each interceptor of an
    asyncio chain costs every call some tens of microseconds.
    """

    def __init__(self, table: ErrorTable, verifier: AssertionVerifier | None) -> None:
        self._table = table
        self._verifier = verifier

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wrap the handler of a unary call; leave streams of health and reflection unchanged.

        An assertion is about one request, so no other stream is served.
        """
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        if handler.unary_unary is None:
            return handler if handler_call_details.method.startswith(_STREAMS) else None
        metadata = {
            key: value
            for key, value in handler_call_details.invocation_metadata
            if isinstance(value, str)
        }
        # The handler gets the bytes of the request: the assertion is about them, and a call
        # without a valid one costs no parsing.
        return grpc.unary_unary_rpc_method_handler(
            self._wrap(handler, handler_call_details.method, metadata),
            request_deserializer=None,
            response_serializer=handler.response_serializer,
        )

    def _wrap(
        self, handler: grpc.RpcMethodHandler[Any, Any], method: str, metadata: dict[str, str]
    ) -> Any:
        behavior: Any = handler.unary_unary

        async def handle(body: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            started = time.perf_counter()
            status = grpc.StatusCode.CANCELLED  # when no other status is set: the caller cancelled
            structlog.contextvars.clear_contextvars()
            structlog.contextvars.bind_contextvars(**_log_context(metadata))
            with tracer.start_as_current_span(
                method.lstrip("/"),
                extracted_context(metadata),
                SpanKind.SERVER,
                record_exception=False,
                set_status_on_exception=False,
            ) as span:
                deadline = asyncio.timeout(_seconds_remaining(context))
                try:
                    async with deadline:
                        request = self._admit(handler, method, metadata, body)
                        response = await behavior(request, context)
                    status = grpc.StatusCode.OK
                except grpc.aio.AbortError:
                    status = grpc.StatusCode(context.code())
                    raise
                except Exception as error:  # noqa: BLE001 - the one place that maps every failure
                    status, rich = self._error_status(error, method, deadline.expired())
                    if status is grpc.StatusCode.INTERNAL:
                        span.record_exception(error)
                        span.set_status(Status(StatusCode.ERROR))
                    await context.abort(
                        status, rich.message, ((DETAILS_KEY, rich.SerializeToString()),)
                    )
                finally:
                    span.set_attribute("rpc.grpc.status_code", status.value[0])
                    GRPC_HANDLED.labels(method, status.name).inc()
                    GRPC_HANDLING_SECONDS.labels(method).observe(time.perf_counter() - started)
            return response

        return handle

    def _admit(
        self,
        handler: grpc.RpcMethodHandler[Any, Any],
        method: str,
        metadata: dict[str, str],
        body: bytes,
    ) -> Any:
        """Return the request of a call that its caller may make.

        Raises:
            AssertionRefused: the call assertion is missing or not valid for this call.
            MalformedRequest: the bytes are not a message of the method.
        """
        caller = None
        if self._verifier is not None and not method.startswith(_HEALTH):
            caller = self._verifier.verify(metadata.get(METADATA_KEY), method, body)
        try:
            request: Any = handler.request_deserializer(body)  # type: ignore[misc]  # never None in generated code
        except DecodeError as error:
            raise MalformedRequest from error
        if caller is not None:
            require_no_actor_unless_vouched(request, caller)
        return request

    def _error_status(
        self, error: Exception, method: str, deadline_exceeded: bool
    ) -> tuple[grpc.StatusCode, Any]:
        domain = self._table.domain
        if isinstance(error, AssertionRefused):
            logger.warning("call refused", method=method, reason=error.reason)
            refused = grpc.StatusCode.UNAUTHENTICATED
            return refused, rich_status(domain, refused, CALL_REFUSED, "The caller is not known.")
        if isinstance(error, MalformedRequest):
            invalid = grpc.StatusCode.INVALID_ARGUMENT
            return invalid, rich_status(domain, invalid, MALFORMED, "The message is malformed.")
        if status := self._table.status_of(error):
            violations: Sequence[_Violation] = getattr(error, "fields", ())
            return status, rich_status(
                domain,
                status,
                getattr(error, "code", status.name.lower()),
                str(error),
                fields=tuple((item.field, item.message) for item in violations),
                metadata=getattr(error, "metadata", None),
            )
        if deadline_exceeded:
            status = grpc.StatusCode.DEADLINE_EXCEEDED
            return status, rich_status(
                domain, status, DEADLINE_EXCEEDED, "The deadline was exceeded."
            )
        if is_transient(error):
            logger.warning("call failed temporarily", method=method, error=type(error).__name__)
            status = grpc.StatusCode.UNAVAILABLE
            return status, rich_status(domain, status, UNAVAILABLE, "Try again in a moment.")
        logger.error("call failed", method=method, exc_info=error)
        status = grpc.StatusCode.INTERNAL
        return status, rich_status(domain, status, INTERNAL, "An internal error occurred.")


def _log_context(metadata: dict[str, str]) -> dict[str, str]:
    named = {"request_id": metadata.get("x-request-id"), "user_id": metadata.get("x-user-id")}
    return {key: value for key, value in named.items() if value}


def _seconds_remaining(context: Any) -> float:
    remaining: float | None = context.time_remaining()  # None without a deadline, unlike the stub
    return DEFAULT_DEADLINE_SECONDS if remaining is None else max(remaining, 0.0)


@asynccontextmanager
async def serve_grpc(
    listen: str,
    table: ErrorTable,
    register: Callable[[grpc.aio.Server], None],
    service_names: Sequence[str],
    health: Health,
    *,
    verifier: AssertionVerifier | None,
    with_reflection: bool = False,
    tls: TlsFiles | None = None,
) -> AsyncIterator[int]:
    """Serve the services that `register` adds; yield the port.

    `listen` is "host:port", with port 0 for any. `verifier` checks who makes each call; only
    tests serve without one. With `tls`, clients need a certificate of its authorities. On exit
    the health service reports NOT_SERVING, new calls are rejected, and calls in flight have
    DRAIN_SECONDS to finish.

    Raises:
        RuntimeError: the port cannot be bound.
        InvalidCertificates: the files of `tls` are not valid.
    """
    server = grpc.aio.server(
        interceptors=[CallInterceptor(table, verifier)],
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            # Clients ping idle connections to detect a dead server (see rpc.client).
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", MIN_PING_MILLISECONDS),
        ],
    )
    register(server)
    names = ["", *service_names]
    health_service = grpc_health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_service, server)
    if with_reflection:
        reflection.enable_server_reflection(
            [*service_names, grpc_health.SERVICE_NAME, reflection.SERVICE_NAME], server
        )
    port = (
        server.add_insecure_port(listen)
        if tls is None
        else server.add_secure_port(listen, server_credentials(CertificateReloader(tls)))
    )
    await server.start()
    health_updates = asyncio.create_task(_update_health(health, health_service, names))
    logger.info("listening", grpc=f"{listen.rpartition(':')[0]}:{port}")
    try:
        yield port
    finally:
        health.ready = False
        health_updates.cancel()
        with suppress(asyncio.CancelledError):
            await health_updates
        await health_service.enter_graceful_shutdown()
        await server.stop(DRAIN_SECONDS)


async def _update_health(
    health: Health, service: grpc_health.aio.HealthServicer, names: Sequence[str]
) -> None:
    """Keep the gRPC health service consistent with /readyz."""
    serving = health_pb2.HealthCheckResponse.SERVING
    not_serving = health_pb2.HealthCheckResponse.NOT_SERVING
    while True:
        ready = health.ready and not await health.failures()
        for name in names:
            await service.set(name, serving if ready else not_serving)
        await asyncio.sleep(HEALTH_SECONDS)
