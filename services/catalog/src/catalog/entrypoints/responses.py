"""Maps events to protobuf messages of the RPC."""

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from goticket.catalog.v1 import catalog_pb2 as pb

from catalog.domain.event import Event, EventStatus

STATUSES = {
    EventStatus.DRAFT: pb.EVENT_STATUS_DRAFT,
    EventStatus.PUBLISHED: pb.EVENT_STATUS_PUBLISHED,
    EventStatus.CANCELLED: pb.EVENT_STATUS_CANCELLED,
}


def event_to_proto(event: Event) -> pb.Event:
    """Map an event."""
    details = event.details
    return pb.Event(
        id=str(event.id),
        organizer_id=str(event.organizer_id),
        name=details.name,
        description=details.description,
        location=details.location,
        currency=details.currency,
        timezone=details.timezone,
        starts_at=_timestamp(details.starts_at),
        ends_at=_timestamp(details.ends_at),
        status=STATUSES[event.status],
        version=event.version,
        ticket_types=[
            pb.TicketType(
                id=str(ticket_type.id),
                name=ticket_type.name,
                price=ticket_type.price,
                capacity=ticket_type.capacity,
                max_per_booking=ticket_type.max_per_booking,
                max_per_buyer=ticket_type.max_per_buyer,
            )
            for ticket_type in event.ticket_types
        ],
        created_at=_timestamp(event.created_at),
        updated_at=_timestamp(event.updated_at),
        max_per_buyer=details.max_per_buyer,
    )


def _timestamp(time: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(time)
    return timestamp
