"""POST /api/v1/events/{event_id}/bookings without the layers: the route that a crowd hits.

A bare ASGI endpoint in front of the application, for requests that are as they should
be. Whatever is unusual (no token, a wrong body, a strange header) goes on to the
FastAPI route of the same address, which is the contract, unread as it came: so every
complaint about a request has one author.
"""

import functools
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.ids import new_id
from goticket_platform.logs import get_logger
from goticket_platform.rpc.errors import RemoteError
from goticket_platform.telemetry import extracted_context, server_span
from opentelemetry.context import Context
from opentelemetry.trace import Span, Status, StatusCode
from pydantic import ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.access_lines import AccessLine, AccessLines, now
from gateway.auth import Caller, TokenVerifier
from gateway.booking_json import booking_json
from gateway.booking_submission.batched_submitter import REJECTED
from gateway.dependencies import IDEMPOTENCY_KEY
from gateway.hang_up import has_hung_up
from gateway.middleware.access_log import IN_FLIGHT, answered
from gateway.middleware.cors import Cors, cors_options
from gateway.middleware.request_id import HEADER, SANE
from gateway.middleware.security_headers import HEADERS
from gateway.origin import Origin
from gateway.patience import Patience
from gateway.problems import Problem, from_remote, render
from gateway.schemas.bookings import BookingIn
from gateway.sold_out import BookingDesk

ROUTE = "/api/v1/events/{event_id}/bookings"

_PATH = re.compile(r"/api/v1/events/[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}/bookings")
_KEY = re.compile(IDEMPOTENCY_KEY.encode())
_READ = frozenset(
    {
        b"authorization",
        b"content-type",
        b"content-length",
        b"idempotency-key",
        b"x-request-id",
        b"traceparent",
        b"tracestate",
        b"origin",
    }
)
_USUAL_HEADERS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
_VARY = (b"vary", b"Origin")
_REQUEST_ID = HEADER.lower().encode()
_JSON = (b"content-type", b"application/json")
_BODIES = 4096
"""Bodies whose reading is remembered: most buyers of an event send the same one."""
_USUAL_BODY_BYTES = 512
_USUAL_HEAD_BYTES = 8192

logger = get_logger(__name__)

Headers = dict[bytes, bytes]
RawHeaders = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class _Wish:
    """A request that is as it should be."""

    caller: Caller
    body: BookingIn
    event_id: str
    idempotency_key: str | None


class _Heard:
    """What was read of a request, so that somebody else can read it again."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: list[Message] = []

    async def body(self, most: int) -> bytes | None:
        """Return the whole body; None when it is longer than `most` or never ends."""
        pieces: list[bytes] = []
        left = most
        while True:
            message = await self._receive()
            self._messages.append(message)
            if message["type"] != "http.request":
                return None
            piece = message.get("body", b"")
            left -= len(piece)
            if left < 0:
                return None
            pieces.append(piece)
            if not message.get("more_body", False):
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def again(self) -> Message:
        """Receive from the beginning."""
        return self._messages.pop(0) if self._messages else await self._receive()


class HotBookings:
    """Serves what it understands, hands the rest to `application`."""

    def __init__(
        self,
        application: ASGIApp,
        verifier: TokenVerifier,
        desk: BookingDesk,
        lines: AccessLines,
        *,
        max_body_bytes: int,
        cors_origins: Sequence[str],
        patience: Patience,
    ) -> None:
        self._application = application
        self._verifier = verifier
        self._desk = desk
        self._lines = lines
        self._max_body_bytes = max_body_bytes
        self._patience = patience
        self._with_cors = Cors(self._serve, **cors_options(cors_origins))

    def takes(self, scope: Scope) -> bool:
        """Tell whether the request is for this route."""
        return (
            scope["type"] == "http"
            and scope["method"] == "POST"
            and scope["path"].endswith("/bookings")
            and _PATH.fullmatch(scope["path"]) is not None
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request for this route.

        Who comes when there is no room is turned away unread: whatever is done for those who
        cannot be served is taken from those who can.
        """
        arrived = time.perf_counter()
        heard = _Heard(receive)
        headers = _read(scope)
        event_id = _event_of(scope)
        wish = None
        if headers is not None:
            excess = self._desk.excess(event_id)
            if excess and _is_short(scope, headers) and await self._patience.hold(scope):
                excess = self._desk.excess(event_id)
            if excess:
                REJECTED.labels(excess).inc()
            else:
                wish = await self._understand(event_id, headers, heard)
                if wish is None:
                    headers = None
        if headers is None:
            await self._application(scope, heard.again, send)
            return
        scope["goticket.wish"] = wish
        scope["goticket.headers"] = headers
        scope["goticket.arrived"] = arrived
        serve = self._with_cors if b"origin" in headers else self._serve
        await serve(scope, receive, send)

    async def _understand(self, event_id: str, headers: Headers, heard: _Heard) -> _Wish | None:
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
        text = await heard.body(self._max_body_bytes)
        if text is None:
            return None
        body = _known_body(text) if len(text) <= _USUAL_BODY_BYTES else _body_of(text)
        if body is None:
            return None
        try:
            caller = await self._verifier.verify(token.strip().decode("latin-1"))
        except (Problem, RemoteError):
            return None
        return _Wish(caller, body, event_id, None if key is None else key.decode())

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        wish: _Wish | None = scope["goticket.wish"]
        headers: Headers = scope["goticket.headers"]
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        request_id = given if SANE.fullmatch(given) else str(new_id())
        user_id = wish.caller.user_id if wish else ""
        span = server_span(f"POST {ROUTE}", _caller_trace(headers))
        origin = Origin(request_id, user_id, span)
        status = 500
        IN_FLIGHT.inc()
        try:
            status, answer, body = await self._answer(scope["path"], receive, wish, origin)
            if status == 503:  # noqa: PLR2004
                self._patience.note(scope, answer)
            _tell(span, scope, status)
            answer += _USUAL_HEADERS
            answer.append((_REQUEST_ID, request_id.encode()))
            if b"origin" not in headers:  # all that Cors would add
                answer.append(_VARY)
            await send({"type": "http.response.start", "status": status, "headers": answer})
            await send({"type": "http.response.body", "body": body})
        finally:
            span.end()
            IN_FLIGHT.dec()
            seconds = time.perf_counter() - scope["goticket.arrived"]
            answered("POST", ROUTE, status, seconds)
            self._lines.note(
                AccessLine(
                    method="POST",
                    route=ROUTE,
                    path=scope["path"],
                    status=status,
                    seconds=seconds,
                    request_id=request_id,
                    user_id=user_id,
                    span=span.get_span_context(),
                    at=now(),
                )
            )

    async def _answer(
        self, path: str, receive: Receive, wish: _Wish | None, origin: Origin
    ) -> tuple[int, RawHeaders, bytes]:
        if wish is None:
            return _refused(Problem("busy"), path, origin)
        try:
            request = wish.body.create_request(
                wish.event_id, wish.caller.actor, wish.idempotency_key
            )
            gone = functools.partial(has_hung_up, receive)
            return _created(await self._desk.submit(request, origin, gone))
        except RemoteError as error:
            origin.enter()
            return _refused(from_remote(error), path, origin)
        except Problem as problem:
            return _refused(problem, path, origin)
        except Exception as error:
            origin.enter()
            logger.exception("request failed", error=type(error).__name__)
            return _refused(Problem("internal"), path, origin)


def _refused(problem: Problem, path: str, origin: Origin) -> tuple[int, RawHeaders, bytes]:
    status, headers, body = render(problem, path, origin.request_id)
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    raw.append(_length(body))
    return status, raw, body


def _event_of(scope: Scope) -> str:
    """Return the event's id in a path that matched."""
    path: str = scope["path"]
    return path.split("/")[4].lower()


def _created(made: pb.CreateBookingResponse) -> tuple[int, RawHeaders, bytes]:
    text = booking_json(made.booking)
    location = b"/api/v1/bookings/" + made.booking.id.encode()
    headers = [_JSON, _length(text), (b"location", location)]
    if made.replayed:
        headers.append((b"idempotency-replayed", b"true"))
    return 201, headers, text


def _length(body: bytes) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % len(body)


def _is_short(scope: Scope, headers: Headers) -> bool:
    """Tell whether head and body are as short as usual: who is held must not fill the memory."""
    length = headers.get(b"content-length", b"")
    return (
        length.isdigit()
        and int(length) <= _USUAL_BODY_BYTES
        and sum(len(name) + len(value) for name, value in scope["headers"]) <= _USUAL_HEAD_BYTES
    )


def _is_json(kind: bytes) -> bool:
    usual = b"application/json"
    return kind == usual or kind.partition(b";")[0].strip().lower() == usual


def _body_of(text: bytes) -> BookingIn | None:
    """Read a body; None when it is not as it should be."""
    try:
        # Not the validator's own reader of JSON: what it takes differs in corners.
        body = BookingIn.model_validate(json.loads(text))
    except (ValueError, RecursionError, ValidationError):
        return None
    return body if (body.quantity is None) != (body.items is None) else None


_known_body = functools.lru_cache(_BODIES)(_body_of)


def _read(scope: Scope) -> Headers | None:
    """Return the headers that matter here; None when one of them is there twice."""
    found: Headers = {}
    for name, value in scope["headers"]:
        if name in _READ:
            if name in found:
                return None
            found[name] = value
    return found


def _caller_trace(headers: Headers) -> Context | None:
    if b"traceparent" not in headers:
        return None
    names = (b"traceparent", b"tracestate")
    return extracted_context(
        {name.decode(): headers[name].decode("latin-1") for name in names if name in headers}
    )


def _tell(span: Span, scope: Scope, status: int) -> None:
    if not span.is_recording():
        return
    span.set_attributes(
        {
            "http.request.method": "POST",
            "http.route": ROUTE,
            "url.path": scope["path"],
            "url.scheme": scope.get("scheme", "http"),
            "http.response.status_code": status,
        }
    )
    if status >= 500:  # noqa: PLR2004
        span.set_status(Status(StatusCode.ERROR))
