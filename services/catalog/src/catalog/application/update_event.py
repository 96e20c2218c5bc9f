"""Use case: an organizer changes an event, publishes a draft, or cancels an event."""

from catalog.application.change_event import ChangeEventCommand, change_event
from catalog.application.ports import Clock, EventRepository, Inventory, NewId
from catalog.domain.event import Event
from catalog.domain.update_event import EventPatch, update


async def update_event(
    command: ChangeEventCommand,
    patch: EventPatch,
    *,
    events: EventRepository,
    inventory: Inventory,
    clock: Clock,
    new_id: NewId,
) -> Event:
    """Change some fields; a patch that changes nothing creates no new version.

    Raises:
        InvalidEvent: names every field that is wrong.
        EventIsCancelled: the event is cancelled.
        And the errors of change_event.
    """
    return await change_event(
        command,
        lambda event: update(event, patch, clock(), new_id),
        events=events,
        inventory=inventory,
    )
