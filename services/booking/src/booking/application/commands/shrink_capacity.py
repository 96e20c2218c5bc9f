"""Lowers capacities for the catalog, before the catalog saves them."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from booking.application.commands.provision_event import ProvisionEvent
from booking.application.ports import BookingStore, Clock, InventoryQueries

RESYNC_AFTER = timedelta(seconds=30)
"""After this time the catalog's save has succeeded or failed; see resync_events."""


async def shrink_capacity(
    event_id: UUID,
    capacities: Mapping[UUID, int],
    *,
    bookings: BookingStore,
    inventories: InventoryQueries,
    provision: ProvisionEvent,
    now: Clock,
) -> None:
    """Lower the capacity of some ticket types at once, all or none.

    An event that booking does not know is fetched first. Otherwise a request could
    provision it with the old capacity between this response and the catalog's save.

    Raises:
        CapacityBelowTaken: more tickets of a type are sold or held.
        CatalogUnavailable: booking does not know the event, and the catalog is down.
    """
    if not await inventories.find_inventories([event_id]):
        await provision(event_id)
    async with bookings.transaction() as transaction:
        await transaction.events.lock(event_id)
        inventory = await transaction.inventory.lock(event_id)
        if inventory is None:
            return
        inventory.shrink(capacities, resync_after=now() + RESYNC_AFTER)
        await transaction.inventory.save_ticket_types(inventory)
