"""Events and availability as JSON straight from the backends' messages.

The text equals what the models of `schemas` write; a test compares both.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson
from goticket.catalog.v1 import catalog_pb2 as pb

from gateway.cache.availability_reader import Availability
from gateway.rest.events.schemas import EventStatus
from gateway.rest.instants import instant_text

_STATUS = {status.message: status.value for status in EventStatus}


def event_json(event: pb.Event, availability: Availability | None) -> bytes:
    """Render an event; its availability is null when unknown.

    Raises:
        KeyError: the API does not know its status.
    """
    return orjson.dumps(_event(event, availability))


def event_page_json(page: pb.ListEventsResponse, availability: Mapping[str, Availability]) -> bytes:
    """Render a page of events.

    Raises:
        KeyError: the API does not know a status.
    """
    items = [_event(event, availability.get(event.id)) for event in page.events]
    return orjson.dumps({"nextCursor": page.next_cursor or None, "items": items})


def availability_json(event_id: str, availability: Availability) -> bytes:
    """Render an event's availability."""
    types = [
        {"id": type_id, "available": available}
        for type_id, available in availability.ticket_types.items()
    ]
    body = {"eventId": event_id, "available": availability.total, "ticketTypes": types}
    return orjson.dumps(body)


def event_etag(event: pb.Event, availability: Availability | None) -> str:
    """Return the ETag of an event's answer: its version, and a hash of its availability.

    Availability changes without a new version.
    """
    digest = hashlib.sha256(_counts(availability).encode()).hexdigest()
    return f'"{event.version}-{digest[:16]}"'


def content_etag(body: bytes) -> str:
    """Return the ETag of an answer without a version.

    It is longer than a version may be, so that If-Match cannot take it for one.
    """
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def _counts(availability: Availability | None) -> str:
    return "?" if availability is None else repr(sorted(availability.ticket_types.items()))


def _event(event: pb.Event, availability: Availability | None) -> dict[str, Any]:
    types = [_ticket_type(kind, availability) for kind in event.ticket_types]
    spots = None if availability is None else sum(kind["available"] for kind in types)
    return {
        "id": event.id,
        "name": event.name,
        "description": event.description,
        "location": event.location,
        "price": min((kind["price"] for kind in types), default=0),
        "currency": event.currency,
        "capacity": sum(kind["capacity"] for kind in types),
        "availableSpots": spots,
        "startAt": instant_text(event.starts_at),
        "endAt": instant_text(event.ends_at),
        "timezone": event.timezone,
        "status": _STATUS[event.status],
        "maxPerBuyer": event.max_per_buyer,
        "organizerId": event.organizer_id,
        "version": event.version,
        "ticketTypes": types,
    }


def _ticket_type(kind: pb.TicketType, availability: Availability | None) -> dict[str, Any]:
    available = None
    if availability is not None:
        # Booking does not know the type yet, so no ticket of it was sold.
        available = availability.ticket_types.get(kind.id, kind.capacity)
    return {
        "id": kind.id,
        "name": kind.name,
        "price": kind.price,
        "capacity": kind.capacity,
        "maxPerBooking": kind.max_per_booking,
        "maxPerBuyer": kind.max_per_buyer,
        "available": available,
    }
