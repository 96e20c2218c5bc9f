"""Rejects encoded request bodies: no route decodes one (RFC 9110, section 15.5.16)."""

from collections.abc import Mapping

from gateway.http.problems import Problem
from gateway.http.responses import Headers

_NAME = b"content-encoding"


def check_content_coding(fields: Mapping[bytes, bytes], headers: Headers) -> None:
    """Check that a request's body is not encoded; `fields` has the last of each name in `headers`.

    Raises:
        Problem: it has another coding than "identity", or several.
    """
    if _NAME not in fields:
        return
    has_body = b"transfer-encoding" in fields or fields.get(b"content-length", b"0").strip(b"0")
    codings = b",".join(value for name, value in headers if name == _NAME).split(b",")
    if has_body and any(coding.strip().lower() not in {b"", b"identity"} for coding in codings):
        text = "Send the body without a Content-Encoding."
        # Names what would be accepted (RFC 9110, section 12.5.3).
        raise Problem("unsupported_media_type", text, headers={"Accept-Encoding": "identity"})
