"""Use case: a service reads many events at once."""

from collections.abc import Sequence
from uuid import UUID

from goticket_kernel.actor import ANONYMOUS

from catalog.application.ports import EventRepository
from catalog.domain.event import Event
from catalog.domain.list_events import validate_batch_size


async def batch_get_events(
    event_ids: Sequence[UUID], *, public_only: bool, events: EventRepository
) -> list[Event]:
    """Return the events that exist; unknown ids are left out.

    `public_only` leaves out events that were never published. A service that is not an
    anonymous client's proxy needs drafts, too.

    Raises:
        InvalidQuery: too many ids.
    """
    validate_batch_size(len(event_ids))
    unique_ids = sorted(set(event_ids))
    found = await events.get_many(unique_ids) if unique_ids else []
    return [event for event in found if not public_only or event.visible_to(ANONYMOUS)]
