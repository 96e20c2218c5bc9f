"""A complete HTTP response as plain data, for the FastAPI routes and the fast paths alike."""

from dataclasses import dataclass

from starlette.responses import Response

Headers = list[tuple[bytes, bytes]]
"""Header fields in ASGI's form: lower-case names."""

JSON = b"application/json"


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """Status, header fields and body."""

    status: int
    headers: Headers
    body: bytes


def content_headers(media_type: bytes, body: bytes) -> Headers:
    """Return the header fields that describe a body."""
    return [(b"content-type", media_type), (b"content-length", b"%d" % len(body))]


def json_response(body: bytes, status: int = 200) -> HttpResponse:
    """Return a response with a JSON body and no further header field."""
    return HttpResponse(status, content_headers(JSON, body), body)


def as_starlette(response: HttpResponse) -> Response:
    """Convert for a FastAPI route."""
    converted = Response(response.body, response.status)
    converted.raw_headers = list(response.headers)
    return converted
