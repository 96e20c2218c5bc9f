"""Use case: an organizer creates an event."""

from goticket_kernel.actor import Actor

from catalog.application.ports import Clock, EventRepository, NewId
from catalog.domain.create_event import CreateEventCommand, create
from catalog.domain.event import Event


async def create_event(
    command: CreateEventCommand,
    actor: Actor,
    *,
    events: EventRepository,
    clock: Clock,
    new_id: NewId,
) -> Event:
    """Create an event and publish the integration event about it.

    Raises:
        Forbidden: the actor is neither organizer nor admin.
        InvalidEvent: names every field that is wrong.
    """
    created = create(command, actor, clock(), new_id)
    await events.save(created)
    return created.event
