"""Calls to other services, with keepalive, a deadline, trace context and request id."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Self, TypeVar, cast

import grpc
import structlog
from opentelemetry.trace import SpanKind, Status, StatusCode

from goticket_platform.retry import RetryPolicy, retry
from goticket_platform.rpc.assertions import METADATA_KEY, AssertionSigner
from goticket_platform.rpc.errors import RemoteError, remote_error
from goticket_platform.rpc.tls import CertificateReloader, TlsFiles, channel_credentials
from goticket_platform.telemetry import inject_context, tracer

ResponseT = TypeVar("ResponseT")

READ_SECONDS = 2.0
"""Deadline of a call that only reads."""
WRITE_SECONDS = 5.0
"""Deadline of a call that changes something."""

BUSY = "busy"
"""Error code of a service that rejects calls because of overload. Such a call is not retried."""
PING_MILLISECONDS = 10_000
"""Interval of keepalive pings. Servers allow it: see `rpc.server.MIN_PING_MILLISECONDS`."""

CLOSE_SECONDS = 15.0
"""Time for the calls in flight on a channel whose certificate is replaced."""

_FIRST_WAIT_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 0.2
_MAX_ATTEMPTS = 3

_OPTIONS = [
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # The client reconnects to a restarted server within a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # `call` decides about retries.
    ("grpc.enable_retries", 0),
    ("grpc.lb_policy_name", "round_robin"),
    # The response to a batch of large bookings is large, and its bookings are already stored.
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
]


def open_channel(
    target: str, signer: AssertionSigner | None = None, tls: TlsFiles | None = None
) -> grpc.aio.Channel:
    """Open a channel to "host:port". It connects and reconnects automatically.

    Every unary call carries an assertion of `signer`. Without one, services refuse the calls;
    only health checks need none. With `tls`, the connection is mutual TLS.

    Raises:
        InvalidCertificates: the files of `tls` are not valid.
    """
    # Detects a dead server within seconds, also on an idle connection.
    ping = ("grpc.keepalive_time_ms", PING_MILLISECONDS)
    options = [ping, *_OPTIONS]
    if tls is None:
        channel = grpc.aio.insecure_channel(target, options=options)
    else:
        channel = cast("grpc.aio.Channel", ReloadingChannel(target, tls, options))
    # The stubs use only `unary_unary` of a channel, so the wrapper stands in for one.
    return channel if signer is None else cast("grpc.aio.Channel", SignedChannel(channel, signer))


class ReloadingChannel:
    """A TLS channel that connects again once the files of its certificate are renewed."""

    def __init__(self, target: str, tls: TlsFiles, options: Sequence[tuple[str, Any]]) -> None:
        self._target = target
        self._options = options
        self._reloader = CertificateReloader(tls)
        self._channel = self._connect()
        self._closing: set[asyncio.Task[None]] = set()

    def _connect(self) -> grpc.aio.Channel:
        credentials = channel_credentials(self._reloader.current)
        return grpc.aio.secure_channel(self._target, credentials, options=self._options)

    def __getattr__(self, name: str) -> object:
        """Delegate everything but unary calls to the newest channel."""
        return getattr(self.current(), name)

    def current(self) -> grpc.aio.Channel:
        """Return the channel with the newest certificate; calls of the former one may finish."""
        if self._reloader.renewed():
            task = asyncio.create_task(self._channel.close(CLOSE_SECONDS))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
            self._channel = self._connect()
        return self._channel

    async def __aenter__(self) -> Self:
        """Open the channel."""
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close the channel."""
        await self.close()

    async def close(self) -> None:
        """Close the channel and those before it."""
        await asyncio.gather(self._channel.close(), *self._closing)

    def unary_unary(self, method: str, *arguments: Any, **options: Any) -> "ReloadingMethod":
        """Return the method, which calls on the newest channel."""
        return ReloadingMethod(self, method, arguments, options)


class ReloadingMethod:
    """A unary method of the newest channel."""

    def __init__(
        self,
        channel: ReloadingChannel,
        method: str,
        arguments: Sequence[Any],
        options: Mapping[str, Any],
    ) -> None:
        self._channel = channel
        self._method = method
        self._arguments = arguments
        self._options = options
        self._bound_to: grpc.aio.Channel | None = None
        self._bound: Any = None

    def __call__(self, request: object, **options: object) -> Awaitable[object]:
        """Call the method."""
        channel = self._channel.current()
        if channel is not self._bound_to:
            self._bound = channel.unary_unary(self._method, *self._arguments, **self._options)
            self._bound_to = channel
        call: Awaitable[object] = self._bound(request, **options)
        return call


class SignedChannel:
    """Signs the unary calls of a channel."""

    def __init__(self, channel: grpc.aio.Channel, signer: AssertionSigner) -> None:
        self._channel = channel
        self._signer = signer

    def __getattr__(self, name: str) -> object:
        """Delegate everything but unary calls."""
        return getattr(self._channel, name)

    async def __aenter__(self) -> Self:
        """Open the channel."""
        await self._channel.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close the channel."""
        await self._channel.close()

    def unary_unary(
        self,
        method: str,
        request_serializer: Callable[[object], bytes],
        response_deserializer: Callable[[bytes], object],
        **options: Any,
    ) -> "SignedMethod":
        """Return the method; a stub calls this once for each."""
        unsigned: Any = self._channel.unary_unary(method, None, response_deserializer, **options)
        return SignedMethod(unsigned, method, request_serializer, self._signer)


class SignedMethod:
    """A unary method whose calls carry an assertion about their serialized request."""

    def __init__(
        self,
        unsigned: Callable[..., Awaitable[object]],
        method: str,
        serialize: Callable[[object], bytes],
        signer: AssertionSigner,
    ) -> None:
        self._unsigned = unsigned
        self._method = method
        self._serialize = serialize
        self._signer = signer

    def __call__(
        self,
        request: object,
        *,
        metadata: Sequence[tuple[str, str]] = (),
        **options: object,
    ) -> Awaitable[object]:
        """Call the method."""
        body = self._serialize(request)
        assertion = self._signer.sign(self._method, body)
        return self._unsigned(body, metadata=[*metadata, (METADATA_KEY, assertion)], **options)


async def call(
    method: Callable[..., Awaitable[ResponseT]],
    request: object,
    *,
    timeout: float = READ_SECONDS,
    idempotent: bool = False,
    metadata: Sequence[tuple[str, str]] = (),
) -> ResponseT:
    """Call `method` of a stub and return its response within `timeout` seconds.

    An `idempotent` call is retried within the same deadline while the service is unavailable.
    `metadata` is sent besides the request id, the user id and the trace.

    Raises:
        RemoteError: the service rejected the call or could not be reached.
    """
    if not idempotent:
        return await _once(method, request, timeout, metadata)
    clock = asyncio.get_running_loop().time
    deadline = clock() + timeout
    policy = RetryPolicy(
        _FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS, max_attempts=_MAX_ATTEMPTS, max_elapsed=timeout
    )
    return await retry(
        lambda: _once(method, request, deadline - clock(), metadata), policy, _is_unavailable
    )


def _is_unavailable(error: BaseException) -> bool:
    return (
        isinstance(error, RemoteError)
        and error.status is grpc.StatusCode.UNAVAILABLE
        and error.code != BUSY
    )


async def _once(
    method: Callable[..., Awaitable[ResponseT]],
    request: object,
    timeout: float,
    metadata: Sequence[tuple[str, str]],
) -> ResponseT:
    with tracer.start_as_current_span(
        _name(method), kind=SpanKind.CLIENT, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            return await method(request, timeout=timeout, metadata=[*_metadata(), *metadata])
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
