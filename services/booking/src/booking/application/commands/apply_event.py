"""Applies the catalog's state of an event."""

import logging
from datetime import datetime
from uuid import UUID

from booking.application.ports import BookingStore
from booking.domain.event import CatalogEvent

logger = logging.getLogger(__name__)


async def apply_event(
    catalog: CatalogEvent,
    *,
    bookings: BookingStore,
    message_id: UUID | None = None,
    read_at: datetime | None = None,
) -> None:
    """Store the catalog's state of an event, unless booking has a newer version.

    `message_id` names the message that carried it; a message is applied once. `read_at`
    marks a resync: a read that also settles a shrink which the catalog did not save.
    """
    async with bookings.transaction() as transaction:
        if message_id is not None and not await transaction.inbox.record_once(message_id):
            return
        if not await transaction.events.save(catalog.event, read_at):
            return
        inventory = await transaction.inventory.lock(catalog.event.id)
        if inventory is None:  # the event was stored a statement ago
            return
        shortfalls = inventory.apply_catalog(catalog, read_at=read_at)
        await transaction.inventory.save_ticket_types(inventory)
    for shortfall in shortfalls:
        logger.error(
            "capacity of ticket type %s stays %d, the number of taken tickets; the catalog has %d",
            shortfall.ticket_type_id,
            shortfall.kept,
            shortfall.requested,
        )
