"""Opaque page cursors: the sort key of the last row, as URL-safe text."""

import base64
import binascii
import json


class InvalidCursor(ValueError):
    """The cursor was not issued by this list."""


def encode_cursor(*parts: str) -> str:
    """Pack the parts of a sort key."""
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def decode_cursor(text: str, parts: int) -> tuple[str, ...]:
    """Unpack a cursor that has `parts` parts.

    Raises:
        InvalidCursor: `text` was not made by `encode_cursor`, or has another number of parts.
    """
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        values = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise InvalidCursor from error
    if not (
        isinstance(values, list)
        and len(values) == parts
        and all(isinstance(value, str) for value in values)
    ):
        raise InvalidCursor
    return tuple(values)
