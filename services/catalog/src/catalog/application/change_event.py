"""How every change of an event goes: load, decide, ask booking, save, tell booking."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from catalog.application.ids import event_id_of
from catalog.application.ports import Events, Stock
from catalog.domain.actor import Actor
from catalog.domain.errors import EventBusy, EventNotFound, StaleVersion
from catalog.domain.event import Event, EventChange, EventStatus, shrunk_capacities

ATTEMPTS = 20
"""How often a change that names no version is decided anew when another one came first."""
PAUSE_SECONDS = 0.02
"""Longest pause before the next attempt; chosen by chance, so that rivals part ways."""

Decide = Callable[[Event], EventChange | None]


@dataclass(frozen=True)
class ChangeRequest:
    """Who wants to change which event; `expected_version` None accepts any."""

    event_id: str
    actor: Actor | None
    expected_version: int | None = None


async def change_event(
    request: ChangeRequest, decide: Decide, *, events: Events, stock: Stock
) -> Event:
    """Apply what `decide` makes of the event; return the event after it.

    Raises:
        EventNotFound: no such event, or somebody else's draft.
        NotAllowed: not the actor's to change.
        StaleVersion: it is no longer at the expected version.
        EventBusy: no version was expected, and others kept coming first.
        CapacityBelowTaken, BookingUnavailable: booking did not let it shrink.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return await _change_once(request, decide, events, stock)
        except StaleVersion as error:
            if request.expected_version is not None:
                raise
            if attempt == ATTEMPTS:
                raise EventBusy from error
        await asyncio.sleep(random.uniform(0, PAUSE_SECONDS))  # noqa: S311 - chance, no secret
    raise EventBusy


async def _change_once(
    request: ChangeRequest, decide: Decide, events: Events, stock: Stock
) -> Event:
    event = await events.get(event_id_of(request.event_id))
    if event is None:
        raise EventNotFound
    event.require_changeable_by(request.actor, request.expected_version)
    change = decide(event)
    if change is None:
        return event
    if shrunk := shrunk_capacities(event, change.event):
        # Before saving, and outside any transaction: from here on booking sells no more
        # than the new capacity. Should saving fail, booking reads the old one back.
        await stock.shrink(event.id, shrunk)
    await events.save(change)
    if change.event.status is not EventStatus.DRAFT:
        # After the commit: who cancels an event, or adds tickets, finds it so at the till.
        await stock.follow(change.event)
    return change.event
