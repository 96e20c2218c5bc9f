"""Reads the availability of some events."""

from collections.abc import Sequence
from uuid import UUID

from booking.application.commands.provision_event import ProvisionEvent
from booking.application.ports import AvailabilityPublisher, InventoryQueries
from booking.domain.event import EventStatus
from booking.domain.inventory import EventInventory


async def get_availability(
    event_ids: Sequence[UUID],
    *,
    inventories: InventoryQueries,
    provision: ProvisionEvent,
    availability: AvailabilityPublisher,
) -> list[EventInventory]:
    """Read the inventory of events, fetch unknown ones from the catalog, and publish it.

    Drafts are left out, because they are not public.

    Raises:
        CatalogUnavailable: booking does not know an event, and the catalog is down.
    """
    found = await inventories.find_inventories(event_ids)
    missing = set(event_ids) - {inventory.event.id for inventory in found}
    if missing:
        await provision.many(missing)
        found += await inventories.find_inventories(missing)
    public = [inventory for inventory in found if inventory.event.status is not EventStatus.DRAFT]
    await availability.publish(public)
    return public
