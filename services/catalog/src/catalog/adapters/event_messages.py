"""Integration events of the catalog. They carry no personal data."""

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from goticket.catalog.v1 import events_pb2 as pb
from goticket_contracts.event_types import EVENT_CANCELLED, EVENT_PUBLISHED, EVENT_UPDATED
from goticket_platform.messaging.outbox import OutboxMessage

from catalog.domain.event import (
    Event,
    EventCancelled,
    EventChange,
    EventPublished,
    EventStatus,
    EventUpdated,
    TicketType,
)

_MESSAGES = {
    EventPublished: (EVENT_PUBLISHED, pb.EventPublished),
    EventUpdated: (EVENT_UPDATED, pb.EventUpdated),
    EventCancelled: (EVENT_CANCELLED, pb.EventCancelled),
}

_STATUSES = {
    EventStatus.DRAFT: pb.EventState.STATUS_DRAFT,
    EventStatus.PUBLISHED: pb.EventState.STATUS_PUBLISHED,
    EventStatus.CANCELLED: pb.EventState.STATUS_CANCELLED,
}


def outbox_message(change: EventChange) -> OutboxMessage:
    """Return the outbox message of a change, with the whole event after it."""
    type_, payload = _MESSAGES[type(change)]
    event = change.event
    return OutboxMessage(
        type=type_,
        aggregate_id=event.id,
        aggregate_version=event.version,
        partition_id=event.id,
        payload=payload(event=event_state(event)),
        occurred_at=event.updated_at,
    )


def event_state(event: Event) -> pb.EventState:
    """Return the state of an event as integration events carry it."""
    details = event.details
    return pb.EventState(
        id=str(event.id),
        organizer_id=str(event.organizer_id),
        name=details.name,
        description=details.description,
        location=details.location,
        currency=details.currency,
        timezone=details.timezone,
        starts_at=_timestamp(details.starts_at),
        ends_at=_timestamp(details.ends_at),
        status=_STATUSES[event.status],
        version=event.version,
        ticket_types=map(_ticket_type_state, event.ticket_types),
        max_per_buyer=details.max_per_buyer,
    )


def _ticket_type_state(ticket_type: TicketType) -> pb.TicketTypeState:
    return pb.TicketTypeState(
        id=str(ticket_type.id),
        name=ticket_type.name,
        price=ticket_type.price,
        capacity=ticket_type.capacity,
        max_per_booking=ticket_type.max_per_booking,
        max_per_buyer=ticket_type.max_per_buyer,
    )


def _timestamp(time: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(time)
    return timestamp
