"""Use case: a service reads many events at once."""

from collections.abc import Sequence
from uuid import UUID

from catalog.application.ports import EventRepository
from catalog.domain.event import Event
from catalog.domain.list_events import validate_batch_size


async def batch_get_events(event_ids: Sequence[UUID], *, events: EventRepository) -> list[Event]:
    """Return the events that exist, drafts included; unknown ids are left out.

    Raises:
        InvalidQuery: too many ids.
    """
    validate_batch_size(len(event_ids))
    unique_ids = sorted(set(event_ids))
    return await events.get_many(unique_ids) if unique_ids else []
