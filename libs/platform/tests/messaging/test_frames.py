"""What the relay puts on the wire is what the client library would."""

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
EVENTS = st.builds(
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


def make_event(**changed: object) -> PublishedMessage:
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
    return PublishedMessage(**(given | changed))  # type: ignore[arg-type]  # a test's shorthand


def unpacked(data: bytes) -> tuple[commands.Basic.Publish, ContentHeader, bytes]:
    """Read one message back with the library's decoder."""
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


def through_the_library(message: Message) -> commands.Basic.Properties:
    """What a message's properties are once they were on the wire."""
    content = ContentHeader(body_size=len(message.body), properties=message.properties)
    _, _, header = frame.unmarshal(frame.marshal(content, 7))
    assert isinstance(header, ContentHeader)
    assert isinstance(header.properties, commands.Basic.Properties)
    return header.properties


@given(EVENTS, HEADERS)
def test_a_message_reads_the_same_as_one_of_the_client_library(
    event: PublishedMessage, headers: dict[str, str]
) -> None:
    frames = MessageFrames(7, EXCHANGE, FRAME_MAX).encode(event, headers)
    publish, header, body = unpacked(frames)

    assert (publish.exchange, publish.routing_key) == (EXCHANGE, event.type)
    assert (publish.mandatory, publish.immediate) == (True, False)
    assert header.properties == through_the_library(build_amqp_message(event, headers))
    assert (header.body_size, body) == (len(body), event.payload.encode())


def test_what_the_broker_would_close_the_channel_for_is_not_encoded() -> None:
    frames = MessageFrames(7, EXCHANGE, FRAME_MAX)
    with pytest.raises(ValueError, match="too large"):
        frames.encode(make_event(payload="x" * (MAX_PAYLOAD_BYTES + 1)), {})
    with pytest.raises(ValueError, match="longer than 255"):
        frames.encode(make_event(type="x" * 256), {})
