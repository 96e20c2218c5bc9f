"""Use case: anybody pages through events."""

from catalog.application.ports import EventPage, Events
from catalog.domain.actor import Actor
from catalog.domain.listing import EventListing, seen_by


async def list_events(listing: EventListing, actor: Actor | None, *, events: Events) -> EventPage:
    """Return one page of what the actor may see.

    Raises:
        InvalidQuery: the cursor is not one of this list.
    """
    visible = seen_by(actor, listing)
    return EventPage(()) if visible is None else await events.page(visible)
