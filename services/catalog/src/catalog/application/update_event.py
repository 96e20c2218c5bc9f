"""Use case: an organizer changes an event."""

from catalog.application.change_event import ChangeRequest, change_event
from catalog.application.ports import Clock, Events, NewId, Stock
from catalog.domain.event import Event
from catalog.domain.update_event import EventEdit, update


async def update_event(
    request: ChangeRequest,
    edit: EventEdit,
    *,
    events: Events,
    stock: Stock,
    clock: Clock,
    new_id: NewId,
) -> Event:
    """Change some fields; an edit that changes nothing makes no new version.

    Raises:
        InvalidEvent: naming every field that is wrong.
        EventIsCancelled: the event is cancelled.
        And what change_event raises.
    """
    return await change_event(
        request,
        lambda event: update(event, edit, clock(), new_id),
        events=events,
        stock=stock,
    )
