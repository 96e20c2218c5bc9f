"""Maps rows of the events table to events."""

import json

import asyncpg
from goticket_platform.ids import parse_id

from catalog.domain.event import Event, EventDetails, EventStatus, TicketType


def event_from_row(row: asyncpg.Record) -> Event:
    """Map a row of get_events or list_events."""
    return Event(
        id=row["id"],
        organizer_id=row["organizer_id"],
        details=EventDetails(
            name=row["name"],
            description=row["description"],
            location=row["location"],
            currency=row["currency"],
            timezone=row["timezone"],
            starts_at=row["starts_at"],
            ends_at=row["ends_at"],
            max_per_buyer=row["max_per_buyer"],
        ),
        ticket_types=tuple(
            TicketType(parse_id(id_), *values) for id_, *values in json.loads(row["ticket_types"])
        ),
        status=EventStatus(row["status"]),
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        published_at=row["published_at"],
    )
