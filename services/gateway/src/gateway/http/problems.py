"""Every error of the public API as RFC 9457 problem details: one table, one renderer."""

import functools
import random
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import grpc
import orjson
import structlog
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from goticket_platform.logs import get_logger
from goticket_platform.rpc.errors import CALL_REFUSED, RemoteError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from gateway.http.responses import HttpResponse, as_starlette, content_headers
from gateway.http.validation_sentences import validation_sentence

MEDIA_TYPE = "application/problem+json"
TYPE_BASE = "https://goticket.example/problems/"
RETRY_AFTER_SECONDS = (1, 3)
"""Least and most seconds of a Retry-After; random, so that clients do not retry in step. A
service may name another least; the width of the range stays."""

_SECONDS = re.compile(r"[0-9]{1,5}")
_CACHED_CHARACTERS = 400

logger = get_logger(__name__)

ExceptionHandler = Callable[[Request, Exception], Coroutine[Any, Any, Response]]


@dataclass(frozen=True)
class Kind:
    """Status and texts of a code; `detail` is the default."""

    status: int
    title: str
    detail: str


KINDS: Mapping[str, Kind] = {
    # Invalid requests.
    "malformed_request": Kind(400, "Malformed request", "The request body is not valid JSON."),
    "request_timeout": Kind(408, "Request timeout", "The request did not arrive in time."),
    "body_too_large": Kind(413, "Body too large", "The request body is larger than allowed."),
    "uri_too_long": Kind(414, "URI too long", "The request target is longer than allowed."),
    "unsupported_media_type": Kind(
        415, "Unsupported media type", "Send the body as application/json."
    ),
    "validation_failed": Kind(422, "Validation failed", "Some fields are not valid."),
    "unknown_ticket_type": Kind(422, "Unknown ticket type", "The event has no such ticket type."),
    "max_per_booking_exceeded": Kind(
        422, "Too many tickets", "One booking may not hold that many tickets."
    ),
    "idempotency_key_reused": Kind(
        422, "Idempotency key reused", "The key was used before with another request."
    ),
    "headers_too_large": Kind(
        431, "Header fields too large", "The header fields are larger than allowed."
    ),
    # Authentication and authorization.
    "unauthenticated": Kind(401, "Not authenticated", "Send an access token."),
    "token_expired": Kind(401, "Token expired", "The access token has expired."),
    "token_invalid": Kind(401, "Token invalid", "The token is not valid."),
    "session_expired": Kind(401, "Session expired", "The session has ended; log in again."),
    "invalid_credentials": Kind(
        401, "Invalid credentials", "The e-mail address or the password is wrong."
    ),
    "forbidden": Kind(403, "Forbidden", "You may not do this."),
    # Unknown resources.
    "not_found": Kind(404, "Not found", "There is nothing at this address."),
    "event_not_found": Kind(404, "Event not found", "There is no such event."),
    "booking_not_found": Kind(404, "Booking not found", "There is no such booking."),
    "ticket_not_found": Kind(404, "Ticket not found", "There is no such ticket."),
    "user_not_found": Kind(404, "User not found", "There is no such user."),
    "method_not_allowed": Kind(
        405, "Method not allowed", "This address does not support the method."
    ),
    # Conflicts with the state of a resource.
    "conflict": Kind(409, "Conflict", "The request conflicts with the present state."),
    "email_taken": Kind(409, "E-mail taken", "There is an account with this e-mail address."),
    "sold_out": Kind(409, "Sold out", "Not enough tickets are available."),
    "event_cancelled": Kind(409, "Event cancelled", "The event was cancelled."),
    "event_over": Kind(409, "Event over", "The event is over."),
    "event_started": Kind(409, "Event started", "The event has started."),
    "hold_expired": Kind(409, "Hold expired", "The hold has expired."),
    "booking_closed": Kind(409, "Booking closed", "The booking is cancelled or expired."),
    "ticket_void": Kind(409, "Ticket void", "The ticket is void and no longer valid for entry."),
    "request_in_progress": Kind(
        409, "Request in progress", "The first request with this key is still running."
    ),
    "max_per_buyer_exceeded": Kind(
        409, "Limit per buyer reached", "One buyer may not have that many tickets."
    ),
    "too_many_holds": Kind(
        409, "Too many holds", "Confirm or cancel one of the holds on this event first."
    ),
    "hold_already_extended": Kind(
        409, "Hold already extended", "The hold was extended before; it can be extended once."
    ),
    "capacity_below_taken": Kind(
        409, "Capacity below taken", "More tickets are sold or held than the new capacity."
    ),
    "last_admin": Kind(409, "Last administrator", "The last administrator cannot lose this role."),
    "stale_version": Kind(412, "Stale version", "The event has changed; read it again."),
    "rate_limited": Kind(
        429, "Too many requests", "The limit is exceeded; try again after Retry-After seconds."
    ),
    # Server errors.
    "internal": Kind(500, "Internal error", "An internal error occurred."),
    "not_implemented": Kind(501, "Not implemented", "The server does not support this."),
    "unavailable": Kind(503, "Unavailable", "The service is unavailable; try again in a moment."),
    "busy": Kind(503, "Busy", "Too many requests at the moment; try again shortly."),
    "timeout": Kind(503, "Timeout", "The request took too long; try again in a moment."),
    "http_version_not_supported": Kind(505, "HTTP version not supported", "Use HTTP/1.1."),
}

FALLBACKS: Mapping[grpc.StatusCode, str] = {
    grpc.StatusCode.INVALID_ARGUMENT: "validation_failed",
    grpc.StatusCode.OUT_OF_RANGE: "validation_failed",
    grpc.StatusCode.UNAUTHENTICATED: "unauthenticated",
    grpc.StatusCode.PERMISSION_DENIED: "forbidden",
    grpc.StatusCode.NOT_FOUND: "not_found",
    grpc.StatusCode.ALREADY_EXISTS: "conflict",
    grpc.StatusCode.FAILED_PRECONDITION: "conflict",
    grpc.StatusCode.ABORTED: "conflict",
    grpc.StatusCode.UNAVAILABLE: "unavailable",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "unavailable",
    grpc.StatusCode.CANCELLED: "unavailable",
    grpc.StatusCode.DEADLINE_EXCEEDED: "timeout",
}
"""The code for a remote error whose own is not in KINDS, by gRPC status; else "internal"."""

HTTP_CODES: Mapping[int, str] = {
    400: "malformed_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
    422: "validation_failed",
    503: "unavailable",
}
"""The code for an exception of the web framework, by its status."""

EXTENSIONS: Mapping[str, type[str] | type[int]] = {
    "ticketTypeId": str,
    "available": int,
    "limit": int,
    "taken": int,
}
"""Extension members (RFC 9457, section 3.2) that a service may add to an error."""


@dataclass(frozen=True)
class FieldProblem:
    """An invalid field, named as in the request ("ticketTypes[0].price")."""

    field: str
    message: str


@dataclass(eq=False)
class Problem(Exception):
    """Ends the request with the problem of this `code`; `detail` replaces the usual text.

    `extensions` are further members of the document, named as in EXTENSIONS.
    """

    code: str
    detail: str | None = None
    errors: Sequence[FieldProblem] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    extensions: Mapping[str, str | int] = field(default_factory=dict)


def error_response(error: Problem | RemoteError, path: str, request_id: str) -> HttpResponse:
    """Return the response to a request for `path` that ended with this error."""
    problem = error if isinstance(error, Problem) else from_remote(error)
    return render(problem, path, request_id)


def render(problem: Problem, path: str, request_id: str) -> HttpResponse:
    """Return the problem document as a response to a request for `path`."""
    kind = KINDS[problem.code]
    members = (problem.code, problem.detail or kind.detail, path, tuple(problem.errors))
    extensions = tuple(problem.extensions.items())
    write = _cached_members if _is_short(problem, path) else _written_members
    body = write(*members, extensions) + orjson.dumps(request_id) + b"}"
    fields = {**_headers_of(kind), **problem.headers}
    headers = content_headers(MEDIA_TYPE.encode(), body)
    headers += [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    return HttpResponse(kind.status, headers, body)


def _written_members(
    code: str,
    detail: str,
    path: str,
    errors: tuple[FieldProblem, ...],
    extensions: tuple[tuple[str, str | int], ...],
) -> bytes:
    """Return the document up to the value of its last member, the request id."""
    kind = KINDS[code]
    members = {
        "type": TYPE_BASE + code,
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "instance": quote(path),
        "success": False,
        "message": detail,
        "error": code,
        "errors": [{"field": item.field, "message": item.message} for item in errors],
        **dict(extensions),
    }
    return orjson.dumps(members)[:-1] + b',"requestId":'


_CACHED_MEMBERS = 512
_cached_members = functools.lru_cache(_CACHED_MEMBERS)(_written_members)
"""Most rejections are equal but for the request id."""
MEMBERS_BYTES = _CACHED_MEMBERS * 3072
"""Memory of all cached documents at most."""


def _is_short(problem: Problem, path: str) -> bool:
    texts = (path, problem.detail or "", *map(str, problem.extensions.values()))
    return not problem.errors and sum(map(len, texts)) <= _CACHED_CHARACTERS


def _headers_of(kind: Kind) -> dict[str, str]:
    if kind.status == 401:  # noqa: PLR2004 - a 401 must name how to authenticate (RFC 9110, 11.6.1)
        return {"WWW-Authenticate": "Bearer"}
    if kind.status == 503:  # noqa: PLR2004
        return _retry_after(RETRY_AFTER_SECONDS[0])
    return {}


def _retry_after(least: int) -> dict[str, str]:
    low, high = RETRY_AFTER_SECONDS
    return {"Retry-After": str(least + random.randint(0, high - low))}  # noqa: S311 - no secret


def from_remote(error: RemoteError) -> Problem:
    """Translate a backend's error.

    The text of a server error is never passed on: it may name hosts.
    """
    errors = tuple(FieldProblem(name, message) for name, message in error.fields)
    kind = KINDS.get(error.code)
    if error.code == CALL_REFUSED:
        # The service does not accept the gateway's own key. The client did nothing wrong.
        logger.error("a service refused the gateway's call")
        return Problem("internal")
    if kind is None:
        code = FALLBACKS.get(error.status, "internal")
        if error.code != error.status.name.lower():
            logger.warning(
                "remote code is unknown", code=error.code, status=error.status.name, used=code
            )
        return Problem(code, errors=errors)
    is_server_error = kind.status >= 500  # noqa: PLR2004
    if is_server_error:
        return Problem(error.code, None, errors, _headers(error))
    return Problem(error.code, error.message or None, errors, _headers(error), _extensions(error))


def _headers(error: RemoteError) -> dict[str, str]:
    """Return a Retry-After of at least as many seconds as the service asks for, if it does."""
    seconds = error.metadata.get("retryAfter", "")
    return _retry_after(int(seconds)) if _SECONDS.fullmatch(seconds) else {}


def _extensions(error: RemoteError) -> dict[str, str | int]:
    """Return those of the service's details that are public."""
    return {
        name: kind(value)
        for name, kind in EXTENSIONS.items()
        if (value := error.metadata.get(name)) and (kind is str or value.isdecimal())
    }


def from_validation(error: RequestValidationError) -> Problem:
    """Translate FastAPI's validation errors."""
    found = error.errors()
    if any(item["type"] == "json_invalid" for item in found):
        return Problem("malformed_request")
    if isinstance(error.body, bytes) and any(item["loc"] == ("body",) for item in found):
        return Problem(
            "unsupported_media_type"
        )  # FastAPI parses a body only by its JSON media type
    fields = tuple(
        FieldProblem(field_name(item["loc"]), validation_sentence(item)) for item in found
    )
    return Problem("validation_failed", errors=fields)


def from_http(error: HTTPException) -> Problem:
    """Translate an exception of the web framework (unknown route, wrong method, body too large)."""
    code = HTTP_CODES.get(error.status_code, "internal")
    return Problem(code, headers=dict(error.headers or {}))


def field_name(location: Sequence[str | int]) -> str:
    """Turn pydantic's ("body", "ticketTypes", 0, "price") into "ticketTypes[0].price"."""
    name = ""
    for part in location[1:]:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
    return name or str(location[0])


def answer_problem(request: Request, problem: Problem) -> Response:
    """Return the problem document for a route of FastAPI."""
    request_id = structlog.contextvars.get_contextvars().get("request_id", "")
    return as_starlette(render(problem, request.scope["path"], request_id))


def _answer_with(translate: Callable[[Any], Problem]) -> ExceptionHandler:
    async def answer(request: Request, error: Exception) -> Response:
        return answer_problem(request, translate(error))

    return answer


def _itself(problem: Problem) -> Problem:
    return problem


HANDLERS: Mapping[type[Exception], ExceptionHandler] = {
    Problem: _answer_with(_itself),
    RemoteError: _answer_with(from_remote),
    RequestValidationError: _answer_with(from_validation),
    HTTPException: _answer_with(from_http),
}
"""The handler of each kind of exception that a route may raise."""
