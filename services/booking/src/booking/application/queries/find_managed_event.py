"""Reads an event for those who manage it."""

from typing import Protocol
from uuid import UUID

from goticket_kernel.actor import Actor
from goticket_kernel.permissions import Permission

from booking.application.commands.provision_event import ProvisionEvent
from booking.domain.errors import EventNotFound
from booking.domain.event import Event
from booking.domain.rights import require_manager


class EventQueries(Protocol):
    """Reads events."""

    async def find_event(self, event_id: UUID) -> Event | None:
        """Read an event."""
        ...


async def find_managed_event(
    event_id: UUID,
    actor: Actor,
    permission: Permission,
    *,
    queries: EventQueries,
    provision: ProvisionEvent,
) -> Event:
    """Read an event over which the actor has a permission; fetch an unknown one first.

    Raises:
        EventNotFound: there is no such event, or it is a draft of another organizer.
        Forbidden: the actor is not the event's organizer or an admin.
        CatalogUnavailable: booking does not know the event, and the catalog is down.
    """
    event = await queries.find_event(event_id)
    if event is None and await provision(event_id):
        event = await queries.find_event(event_id)
    if event is None:
        raise EventNotFound
    require_manager(actor, permission, event)
    return event
