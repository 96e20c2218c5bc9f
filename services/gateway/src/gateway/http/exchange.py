"""One HTTP request and its response, from the middleware to a fast path or to FastAPI."""

import re
import time
from collections.abc import Mapping

from goticket_platform.ids import new_id
from goticket_platform.telemetry import edge_span
from opentelemetry.trace import Span, Status, StatusCode
from starlette.types import Message, Receive, Scope, Send

from gateway.http.client_address import Client, ClientAddresses
from gateway.http.cors import CorsPolicy
from gateway.http.request_context import RequestContext
from gateway.http.request_metrics import UNMATCHED
from gateway.http.responses import Headers, HttpResponse

REQUEST_ID = b"x-request-id"
_VALID_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")

DEFAULT_HEADERS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    # An answer of the API is data, and nothing in it may run. /docs sets its own policy.
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    # Most answers belong to one user; public ones set their own value.
    (b"cache-control", b"no-store"),
]
"""Header fields of every response that does not set them itself."""
_DEFAULT_NAMES = frozenset(name for name, _ in DEFAULT_HEADERS)
_VARY = b"vary"
_VARY_ORIGIN = (_VARY, b"Origin")
FORWARDED_FOR = b"x-forwarded-for"

SCOPE_KEY = "goticket.exchange"
"""Where a route of FastAPI finds its exchange in the scope."""


class HttpExchange:
    """A request, its properties that are known so far, and the way to answer it once."""

    __slots__ = (
        "_cors",
        "_send",
        "_span",
        "client",
        "headers",
        "limit_headers",
        "receive",
        "request_id",
        "route",
        "scope",
        "started",
        "status",
        "user_id",
    )

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        cors: CorsPolicy,
        addresses: ClientAddresses,
    ) -> None:
        self.scope = scope
        self.receive = receive
        self.started = time.perf_counter()
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        """The last field of each name; see `has_repeated_headers`."""
        self.request_id = request_id_of(self.headers)
        self.client: Client = addresses.client(self._peer, self._forwarded_for)
        """Who sent it, as far as trusted proxies tell."""
        self.limit_headers: Headers = []
        """Header fields that tell the client its rate limit."""
        self.route = UNMATCHED
        self.user_id = ""
        self.status = 0
        """Status of the response; 0 before it has started."""
        self._cors = cors
        self._send = send
        self._span: Span | None = None

    @property
    def _peer(self) -> str | None:
        peer = self.scope.get("client")
        return peer[0] if peer else None

    @property
    def _forwarded_for(self) -> bytes:
        """The whole list: a sender may split it over fields (RFC 9110, section 5.3)."""
        last = self.headers.get(FORWARDED_FOR, b"")
        if not last or not self.has_repeated_headers:
            return last
        return b",".join(value for name, value in self.scope["headers"] if name == FORWARDED_FOR)

    @property
    def has_repeated_headers(self) -> bool:
        """Whether a header field is repeated. Only FastAPI's route reads all its values."""
        return len(self.headers) != len(self.scope["headers"])

    @property
    def span(self) -> Span:
        """The server span of the request."""
        if self._span is None:
            name = f"{self.scope['method']} {self.route}"
            self._span = edge_span(name, self.headers.get(b"traceparent"))
        return self._span

    @property
    def context(self) -> RequestContext:
        """The request as logs and calls to backends name it."""
        return RequestContext(self.request_id, self.user_id, self.span)

    async def respond(self, response: HttpResponse) -> None:
        """Send a whole response."""
        head = {"type": "http.response.start", "status": response.status}
        await self.send({**head, "headers": response.headers})
        await self._send({"type": "http.response.body", "body": self._body(response.body)})

    async def send(self, message: Message) -> None:
        """Send a message of ASGI, completed with the header fields of every response."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = self._complete(message.get("headers", []))
        elif self.scope["method"] == "HEAD" and "body" in message:
            message = {**message, "body": b""}
        await self._send(message)

    def end_span(self) -> None:
        """End the server span, named by the route that the request has matched."""
        span, method = self.span, self.scope["method"]
        if span.is_recording():
            span.update_name(f"{method} {self.route}")
            # Without the query string: it may hold an e-mail address.
            span.set_attributes(
                {
                    "http.request.method": method,
                    "http.route": self.route,
                    "url.path": self.scope["path"],
                    "url.scheme": self.scope.get("scheme", "http"),
                    "http.response.status_code": self.status or 500,
                }
            )
            if self.status >= 500 or not self.status:  # noqa: PLR2004 - HTTP's server errors
                span.set_status(Status(StatusCode.ERROR))
        span.end()

    def _body(self, body: bytes) -> bytes:
        return b"" if self.scope["method"] == "HEAD" else body

    def _complete(self, own_headers: Headers) -> Headers:
        """Return the header fields of a response with those that every response carries."""
        names = {name for name, _ in own_headers}
        headers = [*own_headers, *self.limit_headers, (REQUEST_ID, self.request_id.encode())]
        if names.isdisjoint(_DEFAULT_NAMES):
            headers += DEFAULT_HEADERS
        else:
            headers += [field for field in DEFAULT_HEADERS if field[0] not in names]
        if (origin := self.headers.get(b"origin")) is not None:
            headers += self._cors.response_headers(origin)
        if _VARY not in names:
            headers.append(_VARY_ORIGIN)
        else:
            headers = [_with_origin(field) for field in headers]
        return headers


def _with_origin(field: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    name, value = field
    return (name, value + b", Origin") if name == _VARY else field


def request_id_of(headers: Mapping[bytes, bytes]) -> str:
    """Return the caller's request id if it is valid, else a new one."""
    if (value := headers.get(REQUEST_ID)) is None:
        return str(new_id())
    text = value.decode("latin-1")
    return text if _VALID_REQUEST_ID.fullmatch(text) else str(new_id())
