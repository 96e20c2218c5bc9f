"""Encodes messages as AMQP 0-9-1 frames with the content of `build_amqp_message`.

This encoder limits the relay's throughput. The library's general encoder costs ten times as
much. A test compares the two.
"""

import struct
from collections.abc import Iterator, Mapping
from functools import lru_cache

from pamqp.encode import table_integer

from goticket_platform.messaging.cloudevents import VERSION, PublishedMessage, encode_body

_METHOD, _HEADER, _BODY, _END = 1, 2, 3, b"\xce"
_FRAME = struct.Struct(">BHI")
_PUBLISH = struct.pack(">HHH", 60, 40, 0)
_MANDATORY = b"\x01"
# Class, weight and size of the body, then flags for the properties that follow: content type,
# headers, delivery mode, priority, message id, timestamp, type.
_CONTENT = struct.Struct(">HHQH")
_BASIC, _PROPERTIES = 60, 0x8000 | 0x2000 | 0x1000 | 0x0800 | 0x0080 | 0x0040 | 0x0020
_LENGTH = struct.Struct(">I")
_SECONDS = struct.Struct(">Q")
_PERSISTENT_NO_PRIORITY = b"\x02\x00"
_MAX_SHORT_BYTES = 255
_FRAME_OVERHEAD = _FRAME.size + len(_END)


class MessageFrames:
    """Encodes messages for one channel and exchange; `frame_max` is the connection's (bytes)."""

    def __init__(self, channel: int, exchange: str, frame_max: int) -> None:
        self._channel = channel
        self._exchange = _short(exchange)
        self._max_body_bytes = frame_max - _FRAME_OVERHEAD
        # A process publishes few message types.
        self._publish = lru_cache(maxsize=256)(self._publish_frame)

    def encode(self, message: PublishedMessage, headers: Mapping[str, str]) -> bytes:
        """Return the frames that publish `message` as mandatory and persistent; `headers` first.

        Raises:
            ValueError: the payload or a name is too large for the broker.
        """
        body = encode_body(message)
        content = _CONTENT.pack(_BASIC, 0, len(body), _PROPERTIES) + _properties(message, headers)
        frames = [self._publish(message.type), self._frame(_HEADER, content)]
        frames += (self._frame(_BODY, part) for part in self._split(body))
        return b"".join(frames)

    def _publish_frame(self, routing_key: str) -> bytes:
        method = _PUBLISH + self._exchange + _short(routing_key) + _MANDATORY
        return self._frame(_METHOD, method)

    def _frame(self, kind: int, payload: bytes) -> bytes:
        return _FRAME.pack(kind, self._channel, len(payload)) + payload + _END

    def _split(self, body: bytes) -> Iterator[bytes]:
        for start in range(0, len(body), self._max_body_bytes):
            yield body[start : start + self._max_body_bytes]


def _properties(message: PublishedMessage, headers: Mapping[str, str]) -> bytes:
    id_ = str(message.id)
    table = b"".join(
        (
            *(_field(name, text) for name, text in headers.items()),
            _SPEC_VERSION,
            _text(_ID, id_),
            _constant_field("cloudEvents:type", message.type),
            _constant_field("cloudEvents:source", message.source),
            _text(_SUBJECT, message.subject),
            _text(_TIME, message.occurred_at.isoformat()),
            _text(_PARTITION_KEY, message.partition_key),
            _VERSION,
            table_integer(message.version),
        )
    )
    return b"".join(
        (
            _CONTENT_TYPE,
            _LENGTH.pack(len(table)),
            table,
            _PERSISTENT_NO_PRIORITY,
            _short(id_),
            _SECONDS.pack(int(message.occurred_at.timestamp())),
            _short(message.type),
        )
    )


def _short(text: str) -> bytes:
    data = text.encode()
    if len(data) > _MAX_SHORT_BYTES:
        raise ValueError(f"{text[:40]!r}… is longer than {_MAX_SHORT_BYTES} bytes")
    return bytes((len(data),)) + data


def _text(name: bytes, text: str) -> bytes:
    """Return a long string of a field table; `name` is already encoded."""
    data = text.encode()
    return name + _LENGTH.pack(len(data)) + data


def _field(name: str, text: str) -> bytes:
    return _text(_short(name) + b"S", text)


_constant_field = lru_cache(maxsize=256)(_field)

_CONTENT_TYPE = _short("application/json")
_SPEC_VERSION = _field("cloudEvents:specversion", "1.0")
_ID, _SUBJECT, _TIME, _PARTITION_KEY = (
    _short(f"cloudEvents:{name}") + b"S" for name in ("id", "subject", "time", "partitionkey")
)
_VERSION = _short(VERSION)
