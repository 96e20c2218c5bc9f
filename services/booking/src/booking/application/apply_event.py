"""Follow the catalog: what an event is and what it offers."""

import logging
from datetime import datetime
from uuid import UUID

from booking.application.ports import Bookings
from booking.domain.event import CatalogEvent

logger = logging.getLogger(__name__)


async def apply_event(
    catalog: CatalogEvent,
    *,
    bookings: Bookings,
    message_id: UUID | None = None,
    read_at: datetime | None = None,
) -> None:
    """Take over the catalog's state of an event, unless something newer is known.

    `message_id` names the message that told of it, which counts once. `read_at`
    marks a resync: a read that also settles a shrink the catalog never saved.
    """
    async with bookings.transaction() as transaction:
        if message_id is not None and not await transaction.record_once(message_id):
            return
        if not await transaction.follow_event(catalog.event, read_at):
            return
        stock = await transaction.lock_stock(catalog.event.id, None)
        if stock is None:  # follow_event has just stored it
            return
        clamped = stock.follow(catalog, read_at=read_at)
        await transaction.save_ticket_types(stock)
    for shortfall in clamped:
        logger.error(
            "capacity of ticket type %s stays %d: taken already, the catalog says %d",
            shortfall.ticket_type_id,
            shortfall.kept,
            shortfall.wanted,
        )
