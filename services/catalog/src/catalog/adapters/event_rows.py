"""Rows of the events table as events."""

import json
from uuid import UUID

import asyncpg

from catalog.domain.event import Event, EventDetails, EventStatus, TicketType


def event_of(row: asyncpg.Record) -> Event:
    """Read a row of get_events or page_of_events."""
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
            TicketType(UUID(id_), *numbers) for id_, *numbers in json.loads(row["ticket_types"])
        ),
        status=EventStatus(row["status"]),
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        published_at=row["published_at"],
    )
