"""The steps of every change of an event: load, decide, shrink the inventory, save."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from goticket_kernel.actor import Actor

from catalog.application.ports import EventRepository, Inventory
from catalog.domain.errors import EventBusy, EventNotFound, StaleVersion
from catalog.domain.event import Event, EventChange, shrunk_capacities

MAX_ATTEMPTS = 20
"""Attempts of a change without an expected version when other changes come first."""
MAX_RETRY_DELAY_SECONDS = 0.02
"""Longest delay before the next attempt. It is random, so that concurrent changes separate."""

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
        StaleVersion: the event no longer has the expected version.
        EventBusy: no version was expected, and other changes came first in every attempt.
        CapacityBelowTaken, BookingUnavailable: the booking service did not shrink the capacity.
    """
    if command.expected_version is not None:
        return await _change_once(command, decide, events, inventory)
    for _ in range(MAX_ATTEMPTS):
        with suppress(StaleVersion):
            return await _change_once(command, decide, events, inventory)
        await asyncio.sleep(random.uniform(0, MAX_RETRY_DELAY_SECONDS))  # noqa: S311 - jitter
    raise EventBusy


async def _change_once(
    command: ChangeEventCommand,
    decide: DecideChange,
    events: EventRepository,
    inventory: Inventory,
) -> Event:
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
