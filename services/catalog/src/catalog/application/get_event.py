"""Use case: read one event."""

from uuid import UUID

from goticket_kernel.actor import Actor

from catalog.application.ports import EventRepository
from catalog.domain.errors import EventNotFound
from catalog.domain.event import Event


async def get_event(
    event_id: UUID, actor: Actor, *, include_drafts: bool, events: EventRepository
) -> Event:
    """Return an event, also a cancelled one; services set `include_drafts` to read drafts.

    Raises:
        EventNotFound: there is no such event, or it is a draft that the actor may not see.
    """
    event = await events.get(event_id)
    if event is None or not (include_drafts or event.visible_to(actor)):
        raise EventNotFound
    return event
