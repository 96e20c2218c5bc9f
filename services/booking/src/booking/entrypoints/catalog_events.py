"""Consumes the catalog's messages.

Failure policy: a message that cannot be read is dead-lettered at once. After any other
failure the consumer retries with growing delays.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from goticket.catalog.v1 import events_pb2
from goticket_contracts.event_types import EVENT_CANCELLED, EVENT_PUBLISHED, EVENT_UPDATED
from goticket_platform.messaging.consumer import NonRetryableError, ReceivedMessage

from booking.application.commands.apply_event import apply_event
from booking.application.ports import BookingStore
from booking.domain.event import CatalogEvent


class ReadEvent(Protocol):
    """Turns the payload of the catalog's messages into a value of the domain."""

    def __call__(self, message: events_pb2.EventState) -> CatalogEvent:
        """Read an event; raise ValueError or KeyError if the message breaks its contract."""
        ...


_PAYLOADS: dict[
    str,
    type[events_pb2.EventPublished]
    | type[events_pb2.EventUpdated]
    | type[events_pb2.EventCancelled],
] = {
    EVENT_PUBLISHED: events_pb2.EventPublished,
    EVENT_UPDATED: events_pb2.EventUpdated,
    EVENT_CANCELLED: events_pb2.EventCancelled,
}


def catalog_event_handler(
    bookings: BookingStore, read: ReadEvent
) -> Callable[[ReceivedMessage], Awaitable[None]]:
    """Return the handler of the queue `booking.catalog-events`."""

    async def handle(received: ReceivedMessage) -> None:
        kind = _PAYLOADS.get(received.type)
        if kind is None:
            raise NonRetryableError(f"unknown event type of the catalog: {received.type}")
        payload = received.parse(kind)
        try:
            event = read(payload.event)
        except (ValueError, KeyError) as error:
            raise NonRetryableError(f"not an event: {error!r}") from error
        await apply_event(event, bookings=bookings, message_id=received.id)

    return handle
