"""Use case: read one page of a list of events."""

from goticket_kernel.actor import Actor

from catalog.application.ports import EventPage, EventRepository
from catalog.domain.list_events import EventPageRequest, restrict_to_visible


async def list_events(
    request: EventPageRequest, actor: Actor, *, events: EventRepository
) -> EventPage:
    """Return one page of the events that the actor may see.

    Raises:
        InvalidQuery: the cursor does not belong to this list.
    """
    visible = restrict_to_visible(request, actor)
    return EventPage(()) if visible is None else await events.get_page(visible)
