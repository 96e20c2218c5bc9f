"""Use case: anybody looks at an event."""

from catalog.application.ids import event_id_of
from catalog.application.ports import Events
from catalog.domain.actor import Actor
from catalog.domain.errors import EventNotFound
from catalog.domain.event import Event


async def get_event(
    event_id: str, actor: Actor | None, *, include_drafts: bool, events: Events
) -> Event:
    """Return an event, a cancelled one too; `include_drafts` is for services that need drafts.

    Raises:
        EventNotFound: no such event, or a draft that is not the actor's to see.
    """
    event = await events.get(event_id_of(event_id))
    if event is None or not (include_drafts or event.visible_to(actor)):
        raise EventNotFound
    return event
