"""The ASGI application, from the parts that bootstrap (or a test) hands it."""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from goticket_platform.ops import Health
from starlette.exceptions import HTTPException
from starlette.routing import compile_path
from starlette.types import Receive, Scope, Send

from gateway.access_lines import AccessLines
from gateway.auth import TokenVerifier
from gateway.availability import Availability
from gateway.clients import Backends
from gateway.event_reads import EventReads
from gateway.hot_bookings import HotBookings
from gateway.jwks import KeyRing
from gateway.middleware import middleware_stack
from gateway.middleware.in_flight import MAX_IN_FLIGHT
from gateway.openapi import DESCRIPTION, build_document, operation_id
from gateway.patience import Patience
from gateway.problems import HANDLERS, Problem, problem_response
from gateway.routers import auth, bookings, docs, events, keys, operations, tickets, users
from gateway.sold_out import BookingDesk


@dataclass(frozen=True)
class Parts:
    """What the routes work with."""

    backends: Backends
    desk: BookingDesk
    availability: Availability
    event_reads: EventReads
    keys: KeyRing
    verifier: TokenVerifier
    health: Health
    access_lines: AccessLines


class Gateway(FastAPI):
    """The application, with one route that its bare endpoint looks at first."""

    hot_bookings: HotBookings | None = None
    patience: Patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        hot = self.hot_bookings
        if hot is not None and hot.takes(scope):
            await hot(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(
    parts: Parts,
    *,
    max_body_bytes: int,
    max_in_flight: int = MAX_IN_FLIGHT,
    cors_origins: Sequence[str] = (),
    public_metrics: bool = False,
) -> Gateway:
    """Assemble routes, middleware and error handlers."""
    app = Gateway(
        title="GoTicket",
        version="1.0.0",
        description=DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=operation_id,
        middleware=middleware_stack(
            cors_origins=cors_origins,
            max_body_bytes=max_body_bytes,
            max_in_flight=max_in_flight,
        ),
        # One server span a request, named by its route; metrics are Prometheus's.
        telemetry={"metrics": False, "logs": False, "operation_spans": False},
    )
    app.patience = Patience()
    app.state.backends = parts.backends
    app.state.desk = parts.desk
    app.state.availability = parts.availability
    app.state.event_reads = parts.event_reads
    app.state.keys = parts.keys
    app.state.verifier = parts.verifier
    app.state.health = parts.health
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)
    for module in (auth, users, events, bookings, tickets, keys, operations, docs):
        app.include_router(module.router)
    if public_metrics:
        app.include_router(operations.metrics_router)
    _document_once(app)
    _answer_wrong_methods(app)
    app.hot_bookings = HotBookings(
        super(Gateway, app).__call__,
        parts.verifier,
        parts.desk,
        parts.access_lines,
        max_body_bytes=max_body_bytes,
        cors_origins=cors_origins,
        patience=app.patience,
    )
    return app


def _document_once(app: FastAPI) -> None:
    @functools.cache
    def document() -> dict[str, Any]:
        return build_document(app)

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way


def _answer_wrong_methods(app: FastAPI) -> None:
    """Make 405 name every method of the address, where Starlette names the first route's."""

    @functools.cache
    def paths() -> list[tuple[re.Pattern[str], list[str]]]:
        documented = app.openapi()["paths"].items()
        return [
            (compile_path(path)[0], [name.upper() for name in item]) for path, item in documented
        ]

    async def answer(request: Request, error: Exception) -> Response:
        path = request.scope["path"]
        documented = [name for pattern, names in paths() if pattern.match(path) for name in names]
        allowed = documented or _allowed_by_route(error)
        if "GET" in allowed:
            allowed.append("HEAD")  # Head answers it wherever there is GET
        headers = {"Allow": ", ".join(allowed)}
        return problem_response(request.scope, Problem("method_not_allowed", headers=headers))

    app.add_exception_handler(405, answer)


def _allowed_by_route(error: Exception) -> list[str]:
    """Return the methods that Starlette names, of an address that is not documented."""
    headers = error.headers if isinstance(error, HTTPException) else None
    return [name.strip() for name in (headers or {}).get("Allow", "").split(",") if name.strip()]
