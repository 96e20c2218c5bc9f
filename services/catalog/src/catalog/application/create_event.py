"""Use case: an organizer creates an event."""

from catalog.application.ports import Clock, Events, NewId
from catalog.domain.actor import Actor
from catalog.domain.create_event import NewEvent, create
from catalog.domain.event import Event


async def create_event(
    new: NewEvent, actor: Actor | None, *, events: Events, clock: Clock, new_id: NewId
) -> Event:
    """Create an event and announce it.

    Raises:
        NotAllowed: the actor is neither organizer nor admin.
        InvalidEvent: naming every field that is wrong.
    """
    created = create(new, actor, clock(), new_id)
    await events.save(created)
    return created.event
