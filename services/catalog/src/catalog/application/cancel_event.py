"""Use case: an organizer calls an event off."""

from catalog.application.change_event import ChangeRequest, change_event
from catalog.application.ports import Clock, Events, Stock
from catalog.domain.event import Event


async def cancel_event(
    request: ChangeRequest, *, events: Events, stock: Stock, clock: Clock
) -> Event:
    """Cancel an event for good; a cancelled one stays as it is.

    Raises what change_event raises.
    """
    return await change_event(
        request, lambda event: event.cancel(clock()), events=events, stock=stock
    )
