"""Ids as callers write them."""

from uuid import UUID

from catalog.domain.errors import EventNotFound


def event_id_of(text: str) -> UUID:
    """Read an event id.

    Raises:
        EventNotFound: it is no UUID, so no event has it.
    """
    try:
        return UUID(text)
    except ValueError:
        raise EventNotFound from None
