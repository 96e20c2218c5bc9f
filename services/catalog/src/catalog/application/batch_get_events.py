"""Use case: a service looks at many events at once."""

from collections.abc import Sequence
from uuid import UUID

from catalog.application.ids import event_id_of
from catalog.application.ports import Events
from catalog.domain.errors import EventNotFound
from catalog.domain.event import Event
from catalog.domain.listing import check_batch


async def batch_get_events(event_ids: Sequence[str], *, events: Events) -> list[Event]:
    """Return those of the events that exist, drafts included; ids that are none are left out.

    Raises:
        InvalidQuery: too many ids.
    """
    check_batch(len(event_ids))
    wanted: set[UUID] = set()
    for text in event_ids:
        try:
            wanted.add(event_id_of(text))
        except EventNotFound:
            continue
    return await events.get_many(sorted(wanted)) if wanted else []
