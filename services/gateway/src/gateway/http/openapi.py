"""The OpenAPI 3.1 document: FastAPI's, plus every problem an operation may answer."""

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from gateway.http.problems import KINDS, MEDIA_TYPE, TYPE_BASE
from gateway.rest.problem_schema import ProblemOut

DESCRIPTION = """
Events, bookings and tickets.

Every error is an RFC 9457 problem document; decide by its `error` code. Amounts are integers in
minor units of `currency`; times are RFC 3339. Log in with `POST /api/v1/auth/login` and send the
token as `Authorization: Bearer …`. Every address that answers `GET` answers `HEAD` too, without
the body.

Requests are limited by user and by address; an IPv6 network of 64 bits counts as one address. A
refused request is answered 429 with `Retry-After`. `RateLimit` and `RateLimit-Policy` tell what is
left. Public reads have these fields only when they are refused.

Names and other texts that people see are stored in NFC, with plain spaces. A text must have a
visible character. Control characters, blank letters and overrides of the direction of writing are
refused; joiners are accepted in emoji and in the scripts that need them. `x-maxCharacters` counts
characters as people see them, `maxLength` code points.
"""

TAGS = [
    {"name": "auth", "description": "Accounts and sessions."},
    {"name": "users", "description": "Accounts and roles."},
    {"name": "events", "description": "Events, ticket types and availability."},
    {"name": "bookings", "description": "Orders of tickets."},
    {"name": "tickets", "description": "Admissions and their printed forms."},
    {"name": "check-in", "description": "What devices at the door need."},
    {"name": "keys", "description": "Public keys to verify tokens and tickets with."},
    {"name": "operations", "description": "Health and metrics."},
]

OPTIONAL_TOKEN: dict[str, Any] = {"security": [{}]}
"""`openapi_extra` of an operation that also answers callers without a token."""

HEAD_CODES = ("malformed_request", "request_timeout", "uri_too_long", "headers_too_large")
"""Problems of a request's head and of its arrival, which any operation may answer."""
BODY_CODES = ("malformed_request", "body_too_large", "unsupported_media_type")
TOKEN_CODES = ("unauthenticated", "token_expired", "token_invalid")
LIMIT_CODES = ("rate_limited",)
BACKEND_CODES = ("unavailable", "timeout", "busy")


def problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return `responses` of a route that may answer with these codes."""
    responses: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        _add_problem(responses, code)
    return responses


def _add_problem(responses: dict[Any, dict[str, Any]], code: str, *, as_text: bool = False) -> None:
    kind = KINDS[code]
    key = str(kind.status) if as_text else kind.status
    response = responses.setdefault(key, {"description": kind.title})
    media = response.setdefault("content", {}).setdefault(
        MEDIA_TYPE, {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}
    )
    media["examples"][code] = {"summary": kind.title, "value": example(code)}
    names = " / ".join(one["summary"] for one in media["examples"].values())
    response["description"] = names
    if headers := _HEADERS.get(kind.status):
        response["headers"] = headers


_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "Bearer."}},
    415: {
        "Accept-Encoding": {
            "schema": {"type": "string"},
            "description": "identity, if the body had a Content-Encoding.",
        }
    },
    429: {
        "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait."},
        "RateLimit": {
            "schema": {"type": "string"},
            "description": "The exceeded limit, its remaining units, and the seconds until it is"
            " unused again.",
            "example": '"requests-per-user";r=0;t=60',
        },
        "RateLimit-Policy": {
            "schema": {"type": "string"},
            "description": "The limit's units, and the seconds in which they are refilled.",
            "example": '"requests-per-user";q=3000;w=60',
        },
    },
    503: {"Retry-After": {"schema": {"type": "string"}, "description": "Seconds to wait, 1 to 3."}},
}


_EXTENSIONS = {
    "sold_out": ("ticketTypeId", "available"),
    "unknown_ticket_type": ("ticketTypeId",),
    "max_per_booking_exceeded": ("ticketTypeId", "limit"),
    "max_per_buyer_exceeded": ("ticketTypeId", "limit", "taken"),
    "too_many_holds": ("limit",),
    "capacity_below_taken": ("ticketTypeId", "taken"),
}
_EXTENSION_EXAMPLES: dict[str, str | int] = {
    "ticketTypeId": "0197c0de-7a11-7b00-8a00-0000000000a1",
    "available": 1,
    "limit": 4,
    "taken": 3,
}


def example(code: str) -> dict[str, Any]:
    """Return a problem document with this code."""
    kind = KINDS[code]
    errors = [{"field": "quantity", "message": "Should be greater than or equal to 1."}]
    extensions = {name: _EXTENSION_EXAMPLES[name] for name in _EXTENSIONS.get(code, ())}
    return {
        "type": TYPE_BASE + code,
        "title": kind.title,
        "status": kind.status,
        "detail": kind.detail,
        "instance": "/api/v1/events",
        "success": False,
        "message": kind.detail,
        "error": code,
        "requestId": "0197c0de-7a11-7b00-8a00-00000000c0de",
        "errors": errors if code == "validation_failed" else [],
        **extensions,
    }


def operation_id(route: APIRoute) -> str:
    """Name an operation after its function: createEvent."""
    head, *rest = route.name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def build_document(app: FastAPI) -> dict[str, Any]:
    """Return the document."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version="3.1.0",
        description=app.description,
        routes=app.routes,
        tags=TAGS,
        license_info={"name": "MIT", "identifier": "MIT"},
        servers=[{"url": "/"}],
    )
    schemas = document["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    _add_problem_schema(schemas)
    for operation in _operations(document):
        _complete(operation)
    return document


def _add_problem_schema(schemas: dict[str, Any]) -> None:
    schema = ProblemOut.model_json_schema(
        mode="serialization", ref_template="#/components/schemas/{model}"
    )
    schemas |= schema.pop("$defs", {})
    schemas["Problem"] = schema | {"title": "Problem"}


def _operations(document: dict[str, Any]) -> Iterable[dict[str, Any]]:
    for path, item in document["paths"].items():
        for operation in item.values():
            if path.startswith(("/api/", "/.well-known/")):
                yield operation


def _complete(operation: dict[str, Any]) -> None:
    """Add the problems that any operation of this kind may answer."""
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = _never_null(parameter["schema"])
    responses = operation["responses"]
    if "application/json" in responses.get("422", {}).get("content", {}):
        del responses["422"]  # FastAPI's own form, which is never sent
    codes = ["internal", *HEAD_CODES, *BACKEND_CODES, *LIMIT_CODES]
    if operation.get("security"):
        codes += TOKEN_CODES
    if operation.get("requestBody"):
        codes += [*BODY_CODES, "validation_failed"]
    if any(one["in"] != "path" for one in operation.get("parameters", ())):
        codes.append("validation_failed")
    for code in codes:
        _add_problem(responses, code, as_text=True)
    operation["responses"] = dict(sorted(responses.items()))


def _never_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Drop FastAPI's null from an optional parameter, which can be absent but never null."""
    rest = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    if len(rest) != 1:
        return schema
    only: dict[str, Any] = rest[0]
    return {key: value for key, value in schema.items() if key != "anyOf"} | only
