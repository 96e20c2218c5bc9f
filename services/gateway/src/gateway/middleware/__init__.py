"""Pure ASGI middleware, outermost first: request id, security headers, access log, HEAD,
recovery, CORS, bound on requests in flight, body limit."""

from collections.abc import Sequence

from starlette.middleware import Middleware

from gateway.middleware.access_log import AccessLog
from gateway.middleware.body_limit import BodyLimit
from gateway.middleware.cors import Cors, cors_options
from gateway.middleware.head import Head
from gateway.middleware.in_flight import InFlight
from gateway.middleware.recovery import Recovery
from gateway.middleware.request_id import RequestId
from gateway.middleware.security_headers import SecurityHeaders


def middleware_stack(
    *, cors_origins: Sequence[str], max_body_bytes: int, max_in_flight: int
) -> list[Middleware]:
    """Return the stack in its one right order.

    The log wraps recovery so that a request whose handler blew up is logged with
    the 500 it got, and HEAD so that it is logged as what was asked; the request id wraps
    the log so that every line carries it. Whoever is refused for want of room is logged,
    and a browser's page may read why.
    """
    return [
        Middleware(RequestId),
        Middleware(SecurityHeaders),
        Middleware(AccessLog),
        Middleware(Head),
        Middleware(Recovery),
        Middleware(Cors, **cors_options(cors_origins)),
        Middleware(InFlight, most=max_in_flight),
        Middleware(BodyLimit, max_body_bytes=max_body_bytes),
    ]
