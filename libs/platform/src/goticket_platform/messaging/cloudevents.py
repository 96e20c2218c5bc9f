"""CloudEvents 1.0 as AMQP messages: attributes in `cloudEvents:` headers, protobuf-JSON body.

The header names follow the AMQP protocol binding for CloudEvents 1.0, section 3.1
(binary content mode).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias, TypeVar
from uuid import UUID

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractIncomingMessage, HeadersType
from google.protobuf import json_format
from google.protobuf.message import Message as Payload

ATTEMPT = "goticket:attempt"
"""Number of this delivery to the handler, from 1."""
REASON = "goticket:reason"
"""The reason why a message was retried or dead-lettered."""
FAILED_AT = "goticket:failedat"
"""The time when it was retried or dead-lettered (RFC 3339)."""
VERSION = "goticket:aggregateversion"
"""Version of the aggregate after the change. A consumer ignores older versions than it has."""

MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
"""Half of RabbitMQ 4's limit. A larger message makes the broker close the channel, which fails
every other message in flight."""

_DELIVERY_HEADERS = frozenset({ATTEMPT, REASON, FAILED_AT})

PayloadT = TypeVar("PayloadT", bound=Payload)
PayloadType: TypeAlias = type[PayloadT]  # the name `type` is an attribute below


class NonRetryableError(Exception):
    """This message can never be handled; it is dead-lettered at once with this reason."""


@dataclass(frozen=True)
class PublishedMessage:
    """A message from the outbox; `payload` is protobuf-JSON text."""

    id: UUID
    type: str
    source: str
    subject: str
    version: int
    partition_key: str
    occurred_at: datetime
    payload: str


@dataclass(frozen=True)
class ReceivedMessage:
    """A message from a queue; `attempt` counts its deliveries to the handler from 1."""

    id: UUID
    type: str
    source: str
    subject: str
    version: int
    occurred_at: datetime
    payload: str
    headers: Mapping[str, str]
    attempt: int

    def parse(self, kind: PayloadType[PayloadT]) -> PayloadT:
        """Parse the payload as a `kind`. Unknown fields are ignored: a newer release may add some.

        Raises:
            NonRetryableError: the payload is not a valid `kind`.
        """
        try:
            return json_format.Parse(self.payload, kind(), ignore_unknown_fields=True)
        except (json_format.ParseError, RecursionError) as error:
            raise NonRetryableError(
                f"the body is not a {kind.DESCRIPTOR.full_name}: {error}"
            ) from error


def encode_body(message: PublishedMessage) -> bytes:
    """Encode the payload as the body of an AMQP message.

    Raises:
        ValueError: it is larger than MAX_PAYLOAD_BYTES.
    """
    body = message.payload.encode()
    if len(body) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a payload of {len(body)} bytes is too large")
    return body


def build_amqp_message(message: PublishedMessage, headers: Mapping[str, str]) -> Message:
    """Build the persistent AMQP message of `message`; `headers` carry the trace.

    Raises:
        ValueError: the payload is larger than MAX_PAYLOAD_BYTES.
    """
    body = encode_body(message)
    attributes: HeadersType = {
        **headers,
        "cloudEvents:specversion": "1.0",
        "cloudEvents:id": str(message.id),
        "cloudEvents:type": message.type,
        "cloudEvents:source": message.source,
        "cloudEvents:subject": message.subject,
        "cloudEvents:time": message.occurred_at.isoformat(),
        "cloudEvents:partitionkey": message.partition_key,
        VERSION: message.version,
    }
    return Message(
        body,
        headers=attributes,
        content_type="application/json",
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=str(message.id),
        type=message.type,
        timestamp=message.occurred_at,
    )


def read_message(message: AbstractIncomingMessage) -> ReceivedMessage:
    """Read the CloudEvents message of a delivery.

    Raises:
        NonRetryableError: an attribute is missing or wrong, or the body is not UTF-8 text.
    """
    headers = {str(name): str(value) for name, value in message.headers.items()}
    try:
        if (spec := headers["cloudEvents:specversion"]) != "1.0":
            raise NonRetryableError(f"CloudEvents {spec} is not supported")
        return ReceivedMessage(
            id=UUID(headers["cloudEvents:id"]),
            type=headers["cloudEvents:type"],
            source=headers["cloudEvents:source"],
            subject=headers["cloudEvents:subject"],
            version=int(headers[VERSION]),
            occurred_at=datetime.fromisoformat(headers["cloudEvents:time"]),
            payload=message.body.decode(),
            headers=headers,
            attempt=attempt_of(message),
        )
    except KeyError as error:
        raise NonRetryableError(f"header {error} is missing") from error
    except ValueError as error:
        raise NonRetryableError(f"not a valid CloudEvents message: {error}") from error


def attempt_of(message: AbstractIncomingMessage) -> int:
    """Return the number of this delivery; 1 when the header is missing or invalid."""
    attempt = message.headers.get(ATTEMPT)
    return attempt if isinstance(attempt, int) and attempt > 0 else 1


def copy_message(message: AbstractIncomingMessage, changes: HeadersType) -> Message:
    """Copy a delivery for another queue, with its delivery headers replaced by `changes`.

    The broker's own `x-` headers are not copied: with `x-death` the broker would take the copy
    for a dead-letter cycle and drop it.
    """
    headers = {
        name: value
        for name, value in message.headers.items()
        if not name.startswith("x-") and name not in _DELIVERY_HEADERS
    }
    return Message(
        message.body,
        headers={**headers, **changes},
        content_type=message.content_type,
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=message.message_id,
        type=message.type,
        timestamp=message.timestamp,
    )
