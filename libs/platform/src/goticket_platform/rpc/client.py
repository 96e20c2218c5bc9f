"""Calling another service: keepalive, a deadline, the trace and the request id on every call."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
import structlog
from opentelemetry.trace import SpanKind, Status, StatusCode

from goticket_platform.rpc.errors import RemoteError, remote_error
from goticket_platform.telemetry import inject_context, tracer

ResponseT = TypeVar("ResponseT")

READ_SECONDS = 2.0
"""Deadline of a call that only reads."""
WRITE_SECONDS = 5.0
"""Deadline of a call that changes something."""

_ATTEMPTS = 3
_RETRY_SECONDS = 0.05

BUSY = "busy"
"""Code of an answer that asks callers to stay away for a while."""
PING_MILLISECONDS = 10_000
"""How often an idle connection is tried; servers allow it (`rpc.server.MIN_PING_MILLISECONDS`)."""

_OPTIONS = [
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A restarted server is found again within a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Retries are decided call by call, in `call`.
    ("grpc.enable_retries", 0),
    ("grpc.lb_policy_name", "round_robin"),
    # One answer to a batch of many tickets each is large; refusing to read it would fail
    # requests that have been granted.
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
]


def open_channel(target: str) -> grpc.aio.Channel:
    """Open a channel to "host:port"; it connects, and reconnects, by itself."""
    # A dead server is noticed within seconds, also on an idle connection.
    ping = ("grpc.keepalive_time_ms", PING_MILLISECONDS)
    return grpc.aio.insecure_channel(target, options=[ping, *_OPTIONS])


async def call(
    method: Callable[..., Awaitable[ResponseT]],
    request: object,
    *,
    timeout: float = READ_SECONDS,
    idempotent: bool = False,
) -> ResponseT:
    """Call `method` of a stub and return its answer within `timeout` seconds.

    An `idempotent` call that finds no server is tried again a couple of times
    inside the same deadline.

    Raises:
        RemoteError: the service refused or could not be reached.
    """
    deadline = asyncio.get_running_loop().time() + timeout
    attempt = 1
    while True:
        left = deadline - asyncio.get_running_loop().time()
        try:
            return await _once(method, request, left)
        except RemoteError as error:
            pause = _RETRY_SECONDS * 2**attempt * random.uniform(0.5, 1)  # noqa: S311 - jitter, no secret
            # Not when it is busy: to come back at once is what makes it so.
            away = error.status is grpc.StatusCode.UNAVAILABLE and error.code != BUSY
            again = idempotent and away
            if not again or attempt == _ATTEMPTS or left - pause <= 0:
                raise
        attempt += 1
        await asyncio.sleep(pause)


async def _once(
    method: Callable[..., Awaitable[ResponseT]], request: object, timeout: float
) -> ResponseT:
    with tracer.start_as_current_span(
        _name(method), kind=SpanKind.CLIENT, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            return await method(request, timeout=timeout, metadata=_metadata())
        except grpc.aio.AioRpcError as error:
            span.set_attribute("rpc.grpc.status_code", error.code().value[0])
            span.set_status(Status(StatusCode.ERROR))
            raise remote_error(error) from error


def _name(method: object) -> str:
    """Return "package.Service/Method" of a stub's method."""
    raw: bytes | str = getattr(method, "_method", b"call")
    return (raw.decode() if isinstance(raw, bytes) else raw).lstrip("/")


def _metadata() -> list[tuple[str, str]]:
    context = structlog.contextvars.get_contextvars()
    named = {"x-request-id": context.get("request_id"), "x-user-id": context.get("user_id")}
    return [
        *inject_context().items(),
        *((key, str(value)) for key, value in named.items() if value),
    ]
