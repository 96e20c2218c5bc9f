"""Maps the catalog's integration events to versions of events."""

from dataclasses import dataclass
from uuid import UUID

from goticket.catalog.v1 import events_pb2
from goticket_contracts import event_types
from goticket_platform.messaging.consumer import NonRetryableError, ReceivedMessage

from notification.booking_mapping import map_event
from notification.bookings import Event

_PAYLOADS: dict[
    str,
    type[events_pb2.EventPublished]
    | type[events_pb2.EventUpdated]
    | type[events_pb2.EventCancelled],
] = {
    event_types.EVENT_PUBLISHED: events_pb2.EventPublished,
    event_types.EVENT_UPDATED: events_pb2.EventUpdated,
    event_types.EVENT_CANCELLED: events_pb2.EventCancelled,
}


@dataclass(frozen=True)
class EventVersion:
    """An event after a change. A draft is neither published nor cancelled."""

    event_id: UUID
    event: Event
    is_published: bool
    is_cancelled: bool


def map_event_version(message: ReceivedMessage) -> EventVersion:
    """Return the event after the change.

    Raises:
        NonRetryableError: the payload is malformed.
    """
    state = message.parse(_PAYLOADS[message.type]).event
    try:
        return EventVersion(
            event_id=UUID(state.id),
            event=map_event(state),
            is_published=state.status == events_pb2.EventState.STATUS_PUBLISHED,
            is_cancelled=state.status == events_pb2.EventState.STATUS_CANCELLED,
        )
    except ValueError as error:
        raise NonRetryableError(f"the payload is not an event: {error!r}") from error
