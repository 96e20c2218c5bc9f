"""What booking does with the catalog's messages.

Failure policy: what cannot be read is poison and goes to the dead letters at once;
anything else is tried again with growing delays by the consumer.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol
from uuid import UUID

from goticket.catalog.v1 import catalog_pb2, events_pb2
from goticket_contracts.event_types import EVENT_CANCELLED, EVENT_PUBLISHED, EVENT_UPDATED
from goticket_platform.messaging.consumer import NonRetryableError, ReceivedMessage

from booking.application.apply_event import apply_event
from booking.application.ports import Bookings
from booking.domain.event import CatalogEvent


class ReadEvent(Protocol):
    """Turns the catalog's message into a value of the domain."""

    def __call__(self, message: catalog_pb2.Event) -> CatalogEvent:
        """Read the message; raise ValueError or KeyError when it breaks its contract."""
        ...


EventChanged = Callable[[UUID, int], Awaitable[None]]
"""Tells whoever keeps a copy of an event that it has this version now; never raises."""

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


def follow_catalog(
    bookings: Bookings, read: ReadEvent, tell: EventChanged
) -> Callable[[ReceivedMessage], Awaitable[None]]:
    """Make the handler of the queue `booking.catalog-events`; `tell` hears of each event."""

    async def handle(received: ReceivedMessage) -> None:
        kind = _PAYLOADS.get(received.type)
        if kind is None:
            raise NonRetryableError(f"no such event of the catalog: {received.type}")
        payload = received.parse(kind)
        try:
            event = read(payload.event)
        except (ValueError, KeyError) as error:
            raise NonRetryableError(f"not an event: {error!r}") from error
        await apply_event(event, bookings=bookings, message_id=received.id)
        # Also for a message that was here before: its notice may have been lost.
        await tell(event.event.id, event.event.version)

    return handle
