"""Decides which kind of inventory an event has."""

from collections.abc import Iterable
from datetime import datetime

from booking.domain.event import Event
from booking.domain.inventory.counted import CountedInventory
from booking.domain.inventory.ticket_type import TicketTypeInventory

EventInventory = CountedInventory
"""The type that use cases and adapters use. A second kind makes this a Protocol of both."""


def inventory_of(
    event: Event,
    ticket_types: Iterable[TicketTypeInventory],
    resync_after: datetime | None = None,
) -> EventInventory:
    """Return the inventory of an event in the kind that the event has.

    All events are counted so far. The choice between kinds belongs here and nowhere else.
    """
    return CountedInventory(event, {kind.id: kind for kind in ticket_types}, resync_after)
