"""Checks a request's line and header fields before the application gets the request.

The parser (llhttp) rejects what it cannot parse: bare CR or LF, NUL, folded lines, a
Content-Length that is no number or is repeated, or one beside a Transfer-Encoding. What
HTTP/1.1 (RFC 9112) demands beyond the grammar is checked here.
"""

import functools
import re
from typing import cast

import httptools

from gateway.http.problems import Problem
from gateway.http.responses import Headers

MAX_HEADER_FIELDS = 100
MAX_TARGET_BYTES = 8_192
"""RFC 9112, section 3: at least 8,000 bytes should be supported."""

_MAX_LENGTH_DIGITS = 20
"""Digits of 2 to the power of 64. Python converts no number of more than 4,300 digits."""
_MAX_HOST_BYTES = 1_024
"""A domain name has at most 255 octets (RFC 1035, section 2.3.4)."""
_HOST = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+\]|\[[vV][0-9A-Fa-f]+\.[\w.~!$&'()*+,;=:-]+\]"
    rb"|(?:[\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)(?::[0-9]*)?",
    re.ASCII,
)
"""uri-host [":" port] (RFC 9110, section 7.2). An "http" URI has no empty host (4.2.1)."""


def malformed(detail: str) -> Problem:
    """Return the problem of a request that violates HTTP."""
    return Problem("malformed_request", detail)


def check_head(version: str, headers: Headers, fields: dict[bytes, bytes]) -> int | None:
    """Check the head of a request; return the length of its body, None when it is chunked.

    `fields` has the last field of each name in `headers`.

    Raises:
        Problem: the request must not be served.
    """
    if version != "1.1" and version != "1.0":  # noqa: PLR1714 - half the cost of a set
        raise Problem("http_version_not_supported")
    host = fields.get(b"host")
    # RFC 9112, section 3.2
    if host is None:
        if version == "1.1":
            raise malformed("The Host header field is missing.")
    elif len(host) > _MAX_HOST_BYTES or not _is_valid_host(host):
        raise malformed("The Host header field is not valid.")
    elif len(fields) != len(headers) and [name for name, _ in headers].count(b"host") > 1:
        raise malformed("The Host header field is repeated.")
    if b"transfer-encoding" in fields:
        _check_transfer_encoding(version, headers)
        return None
    length = fields.get(b"content-length")
    if length is None:
        return 0
    if len(length) > _MAX_LENGTH_DIGITS:
        raise malformed("Content-Length has too many digits.")
    return int(length)


@functools.lru_cache(maxsize=64)
def _is_valid_host(host: bytes) -> bool:
    return _HOST.fullmatch(host) is not None


def _check_transfer_encoding(version: str, headers: Headers) -> None:
    """Check that the only coding is "chunked" (RFC 9112, section 6.1)."""
    if version == "1.0":
        raise malformed("HTTP/1.0 has no Transfer-Encoding.")
    codings = b",".join(value for name, value in headers if name == b"transfer-encoding")
    if codings.strip().lower() != b"chunked":
        raise Problem("not_implemented", "The only transfer coding is chunked.")


def origin_form(method: bytes, target: bytes) -> bytes:
    """Return the path and the query of a request target that does not begin with a path.

    An empty path means "/" (RFC 9110, section 4.2.3), for OPTIONS the whole server (RFC 9112,
    section 3.2.4).

    Raises:
        Problem: the target is not valid.
    """
    if target == b"*" and method == b"OPTIONS":
        return target
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        raise malformed("The request target is not valid.") from None
    # The annotations of httptools omit that a part may be absent.
    parts = cast("tuple[bytes | None, ...]", (url.schema, url.userinfo, url.path, url.query))
    schema, userinfo, path, query = parts
    if schema is None or schema.lower() not in {b"http", b"https"} or userinfo is not None:
        raise malformed("The request target is not valid.")
    if path is None:
        path = b"*" if method == b"OPTIONS" and query is None else b"/"
    return path if query is None else path + b"?" + query
