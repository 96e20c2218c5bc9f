"""The only middleware: all processing that every request needs, in one layer.

Each request gets a request id, a server span, metrics, an access log entry, CORS and the
security header fields. A fast path may answer it. Otherwise FastAPI does, within the bound
on requests in flight and the limit on bodies; HEAD is answered as GET without the body
(RFC 9110, 9.3.2). An unexpected error is one 500, never the end of the process.
"""

import re
import time
from collections.abc import Sequence
from typing import Protocol

import structlog
from goticket_platform.logs import get_logger
from goticket_platform.rpc.errors import RemoteError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.access_log_writer import AccessLogEntry, AccessLogWriter, now
from gateway.http.client_address import ClientAddresses
from gateway.http.content_coding import check_content_coding
from gateway.http.cors import CorsPolicy
from gateway.http.exchange import SCOPE_KEY, HttpExchange
from gateway.http.problems import Problem, error_response
from gateway.http.request_metrics import IN_FLIGHT, REJECTED, record_request
from gateway.http.responses import HttpResponse

MAX_IN_FLIGHT = 2_000
"""Requests of one process at once. Reads take milliseconds, so this many are in flight only
when a backend is stuck or clients send half a request (`http.protocol` waits ten seconds for
the rest). More requests would only use more memory."""

_BOOKINGS = re.compile(r"/api/v1/events/[^/]+/bookings")
_PROBES = frozenset({"/health", "/livez", "/readyz", "/metrics"})

logger = get_logger("gateway.http")


class FastPath(Protocol):
    """Answers some requests without FastAPI, exactly as the FastAPI route would."""

    def matches(self, scope: Scope) -> bool:
        """Return whether the request is for this fast path."""
        ...

    async def respond(self, exchange: HttpExchange) -> HttpResponse | None:
        """Return the response; None leaves the request, unread, to FastAPI.

        Raises:
            Problem: the request is rejected.
            RemoteError: a backend rejected it or is unavailable.
        """
        ...


class RateLimits(Protocol):
    """Refuses requests before any route is called."""

    def check_address(self, exchange: HttpExchange) -> None:
        """Admit a request by its address, from memory.

        Raises:
            Problem: rate_limited.
        """
        ...

    async def charge(self, exchange: HttpExchange) -> None:
        """Charge the limits of a request's route.

        Raises:
            Problem: rate_limited.
        """
        ...


class RequestMiddleware:
    """Wraps the FastAPI application; see the module."""

    def __init__(
        self,
        app: ASGIApp,
        fast_paths: Sequence[FastPath],
        access_log: AccessLogWriter,
        limits: RateLimits,
        *,
        addresses: ClientAddresses,
        cors_origins: Sequence[str],
        max_body_bytes: int,
        max_in_flight: int,
    ) -> None:
        self._app = app
        self.fast_paths = tuple(fast_paths)
        self._access_log = access_log
        self._limits = limits
        self._addresses = addresses
        self._cors = CorsPolicy(cors_origins)
        self._max_body_bytes = max_body_bytes
        self._max_in_flight = max_in_flight
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request.

        Raises:
            Exception: the handler failed after its response had started. The server then
                closes the connection, so that the client sees an incomplete response.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = HttpExchange(scope, receive, send, self._cors, self._addresses)
        IN_FLIGHT.inc()
        try:
            await self._respond(exchange)
        except Exception as error:
            exchange.context.enter()
            logger.exception("request failed", error=type(error).__name__)
            if exchange.status:
                raise
            await exchange.respond(_problem(exchange, Problem("internal")))
        finally:
            IN_FLIGHT.dec()
            self._record(exchange)

    async def _respond(self, exchange: HttpExchange) -> None:
        scope = exchange.scope
        if scope["method"] == "OPTIONS" and (preflight := self._cors.preflight(scope)):
            await exchange.respond(preflight)
            return
        if _is_unbounded(scope):
            await self._dispatch(exchange)
            return
        if self._in_flight >= self._max_in_flight:
            REJECTED.inc()
            await exchange.respond(_problem(exchange, Problem("busy")))
            return
        self._in_flight += 1
        try:
            await self._dispatch(exchange)
        finally:
            self._in_flight -= 1

    async def _dispatch(self, exchange: HttpExchange) -> None:
        try:
            self._limits.check_address(exchange)
            check_content_coding(exchange.headers, exchange.scope["headers"])
            await self._limits.charge(exchange)
        except Problem as problem:
            await exchange.respond(_problem(exchange, problem))
            return
        for fast_path in self.fast_paths:
            if fast_path.matches(exchange.scope):
                if response := await _fast_response(fast_path, exchange):
                    await exchange.respond(response)
                    return
                break
        await self._call_fastapi(exchange)

    async def _call_fastapi(self, exchange: HttpExchange) -> None:
        structlog.contextvars.clear_contextvars()
        exchange.context.enter()
        announced = exchange.headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self._max_body_bytes:
            text = f"At most {self._max_body_bytes} bytes are accepted."
            await exchange.respond(_problem(exchange, Problem("body_too_large", text)))
            return
        scope = {**exchange.scope, SCOPE_KEY: exchange}
        if scope["method"] == "HEAD":
            scope["method"] = "GET"
        receive = _limited(exchange.receive, self._max_body_bytes)
        try:
            await self._app(scope, receive, exchange.send)
        finally:
            exchange.route = getattr(scope.get("route"), "path", exchange.route)
            bound = structlog.contextvars.get_contextvars()
            exchange.user_id = bound.get("user_id", "")

    def _record(self, exchange: HttpExchange) -> None:
        seconds = time.perf_counter() - exchange.started
        scope = exchange.scope
        # A handler that was cancelled has sent nothing.
        status = exchange.status or 500
        exchange.end_span()
        record_request(scope["method"], exchange.route, status, seconds)
        self._access_log.write(
            AccessLogEntry(
                method=scope["method"],
                route=exchange.route,
                path=scope["path"],
                status=status,
                seconds=seconds,
                request_id=exchange.request_id,
                user_id=exchange.user_id,
                client_address=exchange.client.address,
                span=exchange.span.get_span_context(),
                at=now(),
            )
        )


async def _fast_response(fast_path: FastPath, exchange: HttpExchange) -> HttpResponse | None:
    try:
        return await fast_path.respond(exchange)
    except (Problem, RemoteError) as error:
        return _problem(exchange, error)


def _problem(exchange: HttpExchange, error: Problem | RemoteError) -> HttpResponse:
    return error_response(error, exchange.scope["path"], exchange.request_id)


def _is_unbounded(scope: Scope) -> bool:
    """Return whether a request is answered however many are in flight.

    Bookings have a bound of their own, and a busy gateway has to answer probes.
    """
    path: str = scope["path"]
    return path in _PROBES or (scope["method"] == "POST" and _BOOKINGS.fullmatch(path) is not None)


def _limited(receive: Receive, max_body_bytes: int) -> Receive:
    """Return a `receive` that raises once the body is longer than the limit.

    FastAPI's own `max_body_size` answers with plain text, without a request id.
    """
    received = 0

    async def receive_within_limit() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > max_body_bytes:
            # FastAPI re-raises only this kind of exception while it reads a body.
            raise HTTPException(413)
        return message

    return receive_within_limit
