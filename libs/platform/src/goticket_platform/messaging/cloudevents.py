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
"""Which try this delivery is, from 1."""
REASON = "goticket:reason"
"""Why a message was retried or dead-lettered."""
FAILED_AT = "goticket:failedat"
"""When, RFC 3339."""
VERSION = "goticket:aggregateversion"
"""Version of the aggregate after the change; a consumer ignores what it has passed."""

MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
"""Half of what RabbitMQ 4 takes. Beyond its limit the broker closes the channel, and with
it fails every other message in flight; so it is never asked."""

_OF_ONE_TRIP = frozenset({ATTEMPT, REASON, FAILED_AT})

PayloadT = TypeVar("PayloadT", bound=Payload)
PayloadType: TypeAlias = type[PayloadT]  # the name `type` is an attribute below


class NonRetryableError(Exception):
    """This event can never be handled; it is dead-lettered with this reason at once."""


@dataclass(frozen=True)
class PublishedMessage:
    """An event as it leaves the outbox; `payload` is its protobuf-JSON text."""

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
    """An event as it comes from a queue; `attempt` counts its deliveries to the handler from 1."""

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
        """Read the payload as a `kind`. Fields this release does not know are skipped.

        Raises:
            NonRetryableError: it is not one.
        """
        try:
            return json_format.Parse(self.payload, kind(), ignore_unknown_fields=True)
        except (json_format.ParseError, RecursionError) as error:
            raise NonRetryableError(
                f"the body is no {kind.DESCRIPTOR.full_name}: {error}"
            ) from error


def checked_body(event: PublishedMessage) -> bytes:
    """Return the payload as it travels.

    Raises:
        ValueError: it is larger than MAX_PAYLOAD_BYTES.
    """
    body = event.payload.encode()
    if len(body) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"a payload of {len(body)} bytes is too large")
    return body


def build_amqp_message(event: PublishedMessage, headers: Mapping[str, str]) -> Message:
    """Build the persistent AMQP message of `event`; `headers` carry the trace.

    Raises:
        ValueError: the payload is larger than MAX_PAYLOAD_BYTES.
    """
    body = checked_body(event)
    attributes: HeadersType = {
        **headers,
        "cloudEvents:specversion": "1.0",
        "cloudEvents:id": str(event.id),
        "cloudEvents:type": event.type,
        "cloudEvents:source": event.source,
        "cloudEvents:subject": event.subject,
        "cloudEvents:time": event.occurred_at.isoformat(),
        "cloudEvents:partitionkey": event.partition_key,
        VERSION: event.version,
    }
    return Message(
        body,
        headers=attributes,
        content_type="application/json",
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=str(event.id),
        type=event.type,
        timestamp=event.occurred_at,
    )


def read_message(message: AbstractIncomingMessage) -> ReceivedMessage:
    """Read the event out of a delivery.

    Raises:
        NonRetryableError: an attribute is missing or wrong, or the body is not UTF-8 text.
    """
    headers = {str(name): str(value) for name, value in message.headers.items()}
    try:
        if (spec := headers["cloudEvents:specversion"]) != "1.0":
            raise NonRetryableError(f"CloudEvents {spec} is not spoken here")
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
        raise NonRetryableError(f"not a readable event: {error}") from error


def attempt_of(message: AbstractIncomingMessage) -> int:
    """Return which try this delivery is; 1 when nothing sensible says so."""
    attempt = message.headers.get(ATTEMPT)
    return attempt if isinstance(attempt, int) and attempt > 0 else 1


def copy_message(message: AbstractIncomingMessage, changes: HeadersType) -> Message:
    """Copy a delivery for another queue: same event, its trip's headers replaced by `changes`.

    The broker's own `x-` headers stay behind: with `x-death` on it the broker would
    take the copy for a message going in circles and drop it.
    """
    headers = {
        name: value
        for name, value in message.headers.items()
        if not name.startswith("x-") and name not in _OF_ONE_TRIP
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
