"""The ASGI application, constructed from components."""

import functools
import re
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.booking_submission.fast_path import BookingFastPath
from gateway.booking_submission.retry_throttle import RetryThrottle
from gateway.components import Components
from gateway.http.middleware import MAX_IN_FLIGHT, FastPath, RequestMiddleware
from gateway.http.openapi import DESCRIPTION, build_document, operation_id
from gateway.http.problems import HANDLERS, Problem, answer_problem
from gateway.rate_limits.request_limits import RequestLimits
from gateway.rest.auth import router as auth
from gateway.rest.bookings import router as bookings
from gateway.rest.check_in import router as check_in
from gateway.rest.dependencies import exchange_of
from gateway.rest.docs import router as docs
from gateway.rest.events import router as events
from gateway.rest.keys import router as keys
from gateway.rest.operations import router as operations
from gateway.rest.read_fast_path import ReadFastPath
from gateway.rest.read_pacing import ReadPacer
from gateway.rest.tickets import router as tickets
from gateway.rest.users import router as users


class Gateway(FastAPI):
    """FastAPI behind the one middleware, which the fast paths are part of."""

    request_middleware: RequestMiddleware
    retry_throttle: RetryThrottle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        await self.request_middleware(scope, receive, send)

    def without_fast_paths(self) -> None:
        """Let FastAPI answer every request, to compare the fast paths with it."""
        self.request_middleware.fast_paths = ()

    def build_middleware_stack(self) -> ASGIApp:
        """Return the router with the error handlers.

        Starlette's own outermost layer is left out: `RequestMiddleware` answers unexpected
        errors.
        """
        handlers: dict[Any, Any] = dict(self.exception_handlers)
        return ExceptionMiddleware(AsyncExitStackMiddleware(self.router), handlers)


def create_app(
    components: Components,
    *,
    max_body_bytes: int,
    max_in_flight: int = MAX_IN_FLIGHT,
    cors_origins: Sequence[str] = (),
    public_metrics: bool = False,
) -> Gateway:
    """Assemble routes, fast paths, the middleware and error handlers."""
    app = Gateway(
        title="GoTicket",
        version="1.0.0",
        description=DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=operation_id,
        # The middleware makes one server span a request; metrics are Prometheus's.
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    app.state.components = components
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)
    for module in (auth, users, events, bookings, tickets, check_in, keys, operations, docs):
        app.include_router(module.router)
    if public_metrics:
        app.include_router(operations.metrics_router)
    _document_once(app)
    _answer_wrong_methods(app)
    _limit_unknown_routes(app, components.limits)
    app.retry_throttle = RetryThrottle()
    app.request_middleware = RequestMiddleware(
        super(Gateway, app).__call__,
        _fast_paths(components, app.retry_throttle, max_body_bytes),
        components.access_log,
        components.limits,
        addresses=components.addresses,
        cors_origins=cors_origins,
        max_body_bytes=max_body_bytes,
        max_in_flight=max_in_flight,
    )
    return app


def _fast_paths(
    components: Components, retry_throttle: RetryThrottle, max_body_bytes: int
) -> Sequence[FastPath]:
    return (
        BookingFastPath(
            components.verifier,
            components.booking_pipeline,
            max_body_bytes=max_body_bytes,
            retry_throttle=retry_throttle,
        ),
        ReadFastPath(
            components.verifier,
            components.public_reads,
            components.backends.booking,
            components.ticket_printer,
            ReadPacer(components.booking_pipeline.is_booking),
        ),
    )


def _document_once(app: FastAPI) -> None:
    @functools.cache
    def document() -> dict[str, Any]:
        return build_document(app)

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way


def _answer_wrong_methods(app: FastAPI) -> None:
    """Make 405 list every method of the address, where Starlette lists the first route's."""

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
            allowed.append("HEAD")  # every GET route answers HEAD too
        headers = {"Allow": ", ".join(allowed)}
        return answer_problem(request, Problem("method_not_allowed", headers=headers))

    app.add_exception_handler(405, answer)


def _limit_unknown_routes(app: FastAPI, limits: RequestLimits) -> None:
    """Count requests for addresses that no route has: a scan sends many of them."""

    async def answer(request: Request, _error: Exception) -> Response:
        try:
            await limits.unknown_route(await exchange_of(request))
        except Problem as problem:
            return answer_problem(request, problem)
        return answer_problem(request, Problem("not_found"))

    app.add_exception_handler(404, answer)


def _allowed_by_route(error: Exception) -> list[str]:
    """Return the methods that Starlette lists, for an address that is not documented."""
    headers = error.headers if isinstance(error, HTTPException) else None
    return [name.strip() for name in (headers or {}).get("Allow", "").split(",") if name.strip()]
