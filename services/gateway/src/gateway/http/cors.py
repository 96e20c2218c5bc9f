"""CORS (https://fetch.spec.whatwg.org/#http-cors-protocol), as Starlette decides it."""

import functools
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send

from gateway.http.responses import Headers as RawHeaders
from gateway.http.responses import HttpResponse

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_REQUEST_HEADERS = (
    "Authorization",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "X-Request-ID",
)
_RESPONSE_HEADERS = (
    "Age",
    "ETag",
    "Location",
    "Idempotency-Replayed",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-ID",
)
_ADDED_TO_ALL = frozenset({"vary", "access-control-allow-origin"})
"""Header fields that every response to a cross-origin request gets."""
_ORIGINS = 64
_ORIGIN_BYTES = 256
"""Longer origins are not cached: a domain name has up to 253 characters."""
ORIGINS_BYTES = _ORIGINS * 2048
"""Memory of all cached origins at most."""
"""Origins whose header fields are cached."""


class CorsPolicy:
    """The origins that may read responses; `origins` as in the settings, "*" for all."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._starlette = CORSMiddleware(
            _unused,
            allow_origins=tuple(origins),
            allow_methods=_METHODS,
            allow_headers=_REQUEST_HEADERS,
            expose_headers=_RESPONSE_HEADERS,
        )
        self._cached = functools.lru_cache(_ORIGINS)(self._response_headers)

    def response_headers(self, origin: bytes) -> RawHeaders:
        """Return what a response to a request from a page of `origin` carries, `Vary` aside."""
        if len(origin) > _ORIGIN_BYTES:
            return self._response_headers(origin)
        return self._cached(origin)

    def _response_headers(self, origin: bytes) -> RawHeaders:
        policy = self._starlette
        fields = dict(policy.simple_headers)
        text = origin.decode("latin-1")
        if not policy.allow_all_origins and policy.is_allowed_origin(text):
            fields["Access-Control-Allow-Origin"] = text
        return _raw(fields)

    def preflight(self, scope: Scope) -> HttpResponse | None:
        """Return the response to a preflight request; None when the request is not one.

        It is never an error, because the browser enforces the policy by the header fields.
        Starlette's 400 is plain text, whereas all errors of this API are problem documents.
        """
        headers = Headers(scope=scope)
        if "origin" not in headers or "access-control-request-method" not in headers:
            return None
        allowed = self._starlette.preflight_response(headers).headers
        kept = {
            name: value
            for name, value in allowed.items()
            if not name.startswith("content-") and name not in _ADDED_TO_ALL
        }
        return HttpResponse(204, _raw(kept), b"")


def _raw(fields: dict[str, str]) -> RawHeaders:
    return [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()
    ]


async def _unused(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Replaces the application behind Starlette's middleware, which is never called."""
