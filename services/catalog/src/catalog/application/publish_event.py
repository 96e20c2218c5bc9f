"""Use case: an organizer puts a draft on sale."""

from catalog.application.change_event import ChangeRequest, change_event
from catalog.application.ports import Clock, Events, Stock
from catalog.domain.event import Event


async def publish_event(
    request: ChangeRequest, *, events: Events, stock: Stock, clock: Clock
) -> Event:
    """Publish a draft; a published event stays as it is.

    Raises:
        EventIsCancelled: the event is cancelled.
        InvalidEvent: the event has already started.
        And what change_event raises.
    """
    return await change_event(
        request, lambda event: event.publish(clock()), events=events, stock=stock
    )
