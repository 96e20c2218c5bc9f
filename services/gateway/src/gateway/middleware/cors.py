"""CORS from settings."""

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response


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
