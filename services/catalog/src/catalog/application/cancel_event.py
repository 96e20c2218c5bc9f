"""Use case: an organizer cancels an event."""

from catalog.application.change_event import ChangeEventCommand, change_event
from catalog.application.ports import Clock, EventRepository, Inventory
from catalog.domain.event import Event


async def cancel_event(
    command: ChangeEventCommand, *, events: EventRepository, inventory: Inventory, clock: Clock
) -> Event:
    """Cancel an event permanently; a cancelled event stays unchanged.

    Raises the errors of change_event.
    """
    return await change_event(
        command, lambda event: event.cancel(clock()), events=events, inventory=inventory
    )
