"""Lower capacities for the catalog, before it saves them."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from booking.application.ports import Bookings, Clock, Stocks
from booking.application.provision_event import ProvisionEvent

RESYNC_AFTER = timedelta(seconds=30)
"""By then the catalog's save has succeeded or failed; see resync_events."""


async def shrink_capacity(
    event_id: UUID,
    capacities: Mapping[UUID, int],
    *,
    bookings: Bookings,
    stocks: Stocks,
    provision: ProvisionEvent,
    now: Clock,
) -> None:
    """Lower the capacity of some ticket types at once, all or none.

    An event that is not known here is fetched first: otherwise a buyer could bring in
    the old capacity between this answer and the catalog's save.

    Raises:
        CapacityBelowTaken: more is sold or held of a type.
        CatalogUnavailable: the event is not known here and the catalog is down.
    """
    if not await stocks.find_stocks([event_id]):
        await provision(event_id)
    async with bookings.transaction() as transaction:
        await transaction.lock_event(event_id)
        stock = await transaction.lock_stock(event_id, None)
        if stock is None:
            return
        stock.shrink(capacities, resync_after=now() + RESYNC_AFTER)
        await transaction.save_ticket_types(stock)
