"""The steps of every change of an event: load, decide, shrink the inventory, save."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from goticket_kernel.actor import Actor

from catalog.application.ports import EventRepository, Inventory
from catalog.domain.errors import EventNotFound
from catalog.domain.event import Event, EventChange, shrunk_capacities

DecideChange = Callable[[Event], EventChange | None]


@dataclass(frozen=True)
class ChangeEventCommand:
    """The event to change and the actor; `expected_version` None accepts any version."""

    event_id: UUID
    actor: Actor
    expected_version: int | None = None


async def change_event(
    command: ChangeEventCommand,
    decide: DecideChange,
    *,
    events: EventRepository,
    inventory: Inventory,
) -> Event:
    """Apply the change that `decide` returns; return the event after it.

    Raises:
        EventNotFound: there is no such event, or it is another organizer's draft.
        Forbidden: the actor may not change the event.
        StaleVersion: the event no longer has the expected version, or another change came first.
            Without an expected version the caller may try again.
        CapacityBelowTaken, BookingUnavailable: the booking service did not shrink the capacity.
    """
    event = await events.get(command.event_id)
    if event is None:
        raise EventNotFound
    event.require_changeable_by(command.actor, command.expected_version)
    change = decide(event)
    if change is None:
        return event
    if capacities := shrunk_capacities(event, change.event):
        # Before the save and outside any transaction: from now on booking sells no more
        # than the new capacity. If the save fails, booking reads the old capacity back.
        await inventory.shrink(event.id, capacities)
    await events.save(change)
    return change.event
