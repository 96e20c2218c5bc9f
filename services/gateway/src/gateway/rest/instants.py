"""Instants as RFC 3339 text, as pydantic writes them."""

import functools
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp


def instant_text(stamp: Timestamp) -> str:
    """Return the text of a protobuf timestamp."""
    return _text_of(stamp.seconds, stamp.nanos)


@functools.lru_cache(maxsize=1024)  # bookings of one batch have the same time
def _text_of(seconds: int, nanos: int) -> str:
    whole = datetime.fromtimestamp(seconds, UTC).replace(microsecond=nanos // 1000, tzinfo=None)
    return whole.isoformat() + "Z"
