"""POST /api/v1/events/{event_id}/bookings without FastAPI: the route of a hot sale.

It answers requests of the usual form. Any other request (no token, an invalid body, a repeated
header field) goes unread to FastAPI's route of the same address. So errors of requests are
described in one place only.
"""

import functools
import json
import re

from goticket_platform.rpc.errors import RemoteError
from pydantic import ValidationError
from starlette.types import Message, Receive, Scope

from gateway.booking_submission.batched_submitter import REJECTED
from gateway.booking_submission.pipeline import BookingPipeline, render_created
from gateway.booking_submission.retry_throttle import RetryThrottle
from gateway.booking_submission.submitter import IsDisconnected
from gateway.http.disconnect import is_disconnected
from gateway.http.exchange import HttpExchange
from gateway.http.problems import KINDS, Problem, error_response
from gateway.http.responses import HttpResponse
from gateway.rest.bookings.mapping import CreateBookingCommand
from gateway.rest.bookings.schemas import BookingIn
from gateway.rest.dependencies import IDEMPOTENCY_KEY
from gateway.security.authentication import TokenVerifier

ROUTE = "/api/v1/events/{event_id}/bookings"

_PATH = re.compile(r"/api/v1/events/[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}/bookings")
_KEY = re.compile(IDEMPOTENCY_KEY.encode())
_JSON = b"application/json"
_CACHED_BODIES = 1024
"""Parsed bodies that are cached: most buyers of an event send the same one."""
_CACHED_BODY_BYTES = 256
BODIES_BYTES = _CACHED_BODIES * 5120
"""Memory of all cached bodies at most."""
_SHORT_BODY_BYTES = 512
_SHORT_HEAD_BYTES = 8192
_SERVICE_UNAVAILABLE = 503


class _BodyReader:
    """Reads a request's body so that FastAPI can read it again."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: list[Message] = []

    async def read(self, max_bytes: int) -> bytes | None:
        """Return the whole body; None when it is longer than `max_bytes` or incomplete."""
        chunks: list[bytes] = []
        remaining = max_bytes
        while True:
            message = await self._receive()
            self._messages.append(message)
            if message["type"] != "http.request":
                return None
            chunk = message.get("body", b"")
            remaining -= len(chunk)
            if remaining < 0:
                return None
            chunks.append(chunk)
            if not message.get("more_body", False):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def replay(self) -> Message:
        """Receive from the beginning."""
        return self._messages.pop(0) if self._messages else await self._receive()


class BookingFastPath:
    """Runs the booking pipeline for requests of the usual form."""

    def __init__(
        self,
        verifier: TokenVerifier,
        pipeline: BookingPipeline,
        *,
        max_body_bytes: int,
        retry_throttle: RetryThrottle,
    ) -> None:
        self._verifier = verifier
        self._pipeline = pipeline
        self._max_body_bytes = max_body_bytes
        self._retry_throttle = retry_throttle

    def matches(self, scope: Scope) -> bool:
        """Return whether the request is for this route."""
        return (
            scope["method"] == "POST"
            and scope["path"].endswith("/bookings")
            and _PATH.fullmatch(scope["path"]) is not None
        )

    async def respond(self, exchange: HttpExchange) -> HttpResponse | None:
        """Return the response; None leaves the request to FastAPI.

        A request that finds no capacity is rejected unread, because work for rejected requests
        slows down those that can be served.
        """
        if exchange.has_repeated_headers:
            return None
        exchange.route = ROUTE
        event_id = _event_id(exchange.scope)
        if reason := await self._rejection_reason(event_id, exchange):
            REJECTED.labels(reason).inc()
            return self._reject(exchange, Problem("busy"))
        receive = exchange.receive  # `_parse` replaces it by one that replays the body
        command = await self._parse(event_id, exchange)
        if command is None:
            return None
        exchange.user_id = command.caller.user_id
        disconnected = functools.partial(is_disconnected, receive)
        return await self._submit(command, exchange, disconnected)

    async def _rejection_reason(self, event_id: str, exchange: HttpExchange) -> str | None:
        reason = self._pipeline.rejection_reason(event_id)
        if reason and _is_short(exchange) and await self._retry_throttle.delay(exchange.scope):
            reason = self._pipeline.rejection_reason(event_id)
        return reason

    async def _parse(self, event_id: str, exchange: HttpExchange) -> CreateBookingCommand | None:
        headers = exchange.headers
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        key = headers.get(b"idempotency-key")
        length = headers.get(b"content-length", b"0")
        if (
            scheme.lower() != b"bearer"
            or not _is_json(headers.get(b"content-type", b""))
            or (key is not None and not _KEY.fullmatch(key))
            or not length.isdigit()
            or int(length) > self._max_body_bytes
        ):
            return None
        try:  # before the body, which may be large
            caller = await self._verifier.verify(token.strip().decode("latin-1"))
        except (Problem, RemoteError):
            return None
        reader = _BodyReader(exchange.receive)
        exchange.receive = reader.replay
        text = await reader.read(self._max_body_bytes)
        if text is None:
            return None
        body = _cached_body(text) if len(text) <= _CACHED_BODY_BYTES else _parse_body(text)
        if body is None:
            return None
        return CreateBookingCommand(caller, event_id, body, None if key is None else key.decode())

    async def _submit(
        self,
        command: CreateBookingCommand,
        exchange: HttpExchange,
        disconnected: IsDisconnected,
    ) -> HttpResponse:
        try:
            created = await self._pipeline.submit(command, exchange.context, exchange, disconnected)
            return render_created(created)
        except (Problem, RemoteError) as error:
            return self._reject(exchange, error)

    def _reject(self, exchange: HttpExchange, error: Problem | RemoteError) -> HttpResponse:
        if isinstance(error, RemoteError) and error.code not in KINDS:
            exchange.context.enter()  # the code is logged
        response = error_response(error, exchange.scope["path"], exchange.request_id)
        if response.status == _SERVICE_UNAVAILABLE:
            self._retry_throttle.record_rejection(exchange.scope, response.headers)
        return response


def _event_id(scope: Scope) -> str:
    """Return the event's id in a path that matched."""
    path: str = scope["path"]
    return path.split("/")[4].lower()


def _is_short(exchange: HttpExchange) -> bool:
    """Return whether head and body are of the usual size: delayed requests use memory."""
    length = exchange.headers.get(b"content-length", b"")
    head = sum(len(name) + len(value) for name, value in exchange.scope["headers"])
    return length.isdigit() and int(length) <= _SHORT_BODY_BYTES and head <= _SHORT_HEAD_BYTES


def _is_json(media_type: bytes) -> bool:
    return media_type == _JSON or media_type.partition(b";")[0].strip().lower() == _JSON


def _parse_body(text: bytes) -> BookingIn | None:
    """Return the body; None when it is invalid."""
    try:
        # Not pydantic's own JSON parser, which accepts slightly other texts than FastAPI's.
        body = BookingIn.model_validate(json.loads(text))
    except (ValueError, RecursionError, ValidationError):
        return None
    return body if (body.quantity is None) != (body.items is None) else None


_cached_body = functools.lru_cache(_CACHED_BODIES)(_parse_body)
