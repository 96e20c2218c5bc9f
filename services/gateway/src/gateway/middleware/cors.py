"""CORS from settings."""

from collections.abc import Sequence
from typing import Any

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response


def cors_options(origins: Sequence[str]) -> dict[str, Any]:
    """Return what pages of these origins may do, as `Cors` takes it."""
    return {
        "allow_origins": tuple(origins),
        "allow_methods": ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
        "allow_headers": (
            "Authorization",
            "Idempotency-Key",
            "If-Match",
            "If-None-Match",
            "X-Request-ID",
        ),
        "expose_headers": (
            "ETag",
            "Location",
            "Idempotency-Replayed",
            "Retry-After",
            "X-Request-ID",
        ),
    }


class Cors(CORSMiddleware):
    """Starlette's CORS, except that a preflight is never an error.

    The browser enforces the policy by what the headers allow; Starlette's 400 in
    plain text would be the one error of the API that is no problem document.
    """

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer a preflight with what is allowed, which may be nothing."""
        allowed = super().preflight_response(request_headers).headers
        kept = {name: value for name, value in allowed.items() if not name.startswith("content-")}
        return Response(status_code=204, headers=kept)
