"""The frames of the relay have the content that the client library would send."""

import uuid
from datetime import UTC, datetime

import pytest
from aio_pika.message import Message
from goticket_platform.messaging.cloudevents import (
    MAX_PAYLOAD_BYTES,
    PublishedMessage,
    build_amqp_message,
)
from goticket_platform.messaging.frames import MessageFrames
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands, frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

EXCHANGE = "goticket.events"
FRAME_MAX = 4096

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
MESSAGES = st.builds(
    PublishedMessage,
    id=st.uuids(),
    type=st.text("abc.é", min_size=1, max_size=80),
    source=TEXT,
    subject=TEXT,
    version=st.integers(0, 2**63 - 1),
    partition_key=TEXT,
    occurred_at=st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds are naive by contract
    payload=TEXT | st.integers(0, 10_000).map(lambda length: "é" * length),
)
HEADERS = st.dictionaries(st.sampled_from(["traceparent", "tracestate", "baggage"]), TEXT)


def make_message(**changed: object) -> PublishedMessage:
    given: dict[str, object] = {
        "id": uuid.UUID(int=1),
        "type": "goticket.booking.booking.confirmed.v1",
        "source": "/goticket/booking",
        "subject": "s",
        "version": 1,
        "partition_key": "p",
        "occurred_at": datetime(2030, 1, 1, tzinfo=UTC),
        "payload": "{}",
    }
    return PublishedMessage(**(given | changed))  # type: ignore[arg-type]  # the values have the fields' types


def decode(data: bytes) -> tuple[commands.Basic.Publish, ContentHeader, bytes]:
    """Decode one message with the library's decoder."""
    parts: list[object] = []
    while data:
        length, channel, part = frame.unmarshal(data)
        assert length <= FRAME_MAX
        assert channel == 7
        parts.append(part)
        data = data[length:]
    publish, header, *bodies = parts
    assert isinstance(publish, commands.Basic.Publish)
    assert isinstance(header, ContentHeader)
    return publish, header, b"".join(body.value for body in bodies if isinstance(body, ContentBody))


def library_properties(message: Message) -> commands.Basic.Properties:
    """Return a message's properties after encoding and decoding by the library."""
    content = ContentHeader(body_size=len(message.body), properties=message.properties)
    _, _, header = frame.unmarshal(frame.marshal(content, 7))
    assert isinstance(header, ContentHeader)
    assert isinstance(header.properties, commands.Basic.Properties)
    return header.properties


@given(MESSAGES, HEADERS)
def test_a_message_decodes_like_one_of_the_client_library(
    message: PublishedMessage, headers: dict[str, str]
) -> None:
    frames = MessageFrames(7, EXCHANGE, FRAME_MAX).encode(message, headers)
    publish, header, body = decode(frames)

    assert (publish.exchange, publish.routing_key) == (EXCHANGE, message.type)
    assert (publish.mandatory, publish.immediate) == (True, False)
    assert header.properties == library_properties(build_amqp_message(message, headers))
    assert (header.body_size, body) == (len(body), message.payload.encode())


def test_a_message_beyond_the_limits_of_the_broker_is_not_encoded() -> None:
    frames = MessageFrames(7, EXCHANGE, FRAME_MAX)
    with pytest.raises(ValueError, match="too large"):
        frames.encode(make_message(payload="x" * (MAX_PAYLOAD_BYTES + 1)), {})
    with pytest.raises(ValueError, match="longer than 255"):
        frames.encode(make_message(type="x" * 256), {})
