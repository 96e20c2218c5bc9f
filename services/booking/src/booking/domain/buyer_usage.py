"""Limits per buyer, over all bookings of an event."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from booking.domain.errors import MaxPerBuyerExceeded, TooManyHolds
from booking.domain.inventory import EventInventory


@dataclass(slots=True)
class BuyerUsage:
    """Held and confirmed tickets of one buyer by type, and the number of holds."""

    tickets: dict[UUID, int] = field(default_factory=dict)
    holds: int = 0

    def add(self, quantities: Mapping[UUID, int], *, hold: bool) -> None:
        """Count a new booking of the buyer."""
        for type_id, quantity in quantities.items():
            self.tickets[type_id] = self.tickets.get(type_id, 0) + quantity
        self.holds += hold

    def require_within_limits(
        self,
        quantities: Mapping[UUID, int],
        inventory: EventInventory,
        *,
        hold: bool,
        max_holds: int,
    ) -> None:
        """Raise unless the buyer may have these further tickets. A limit of 0 means no limit.

        Raises:
            TooManyHolds: the buyer has `max_holds` holds already.
            MaxPerBuyerExceeded: a limit of a ticket type or of the event would be exceeded.
        """
        if hold and max_holds and self.holds >= max_holds:
            raise TooManyHolds(metadata={"limit": str(max_holds)})
        for type_id, quantity in quantities.items():
            limit = inventory.ticket_types[type_id].max_per_buyer
            taken = self.tickets.get(type_id, 0)
            if limit and taken + quantity > limit:
                raise MaxPerBuyerExceeded(
                    metadata={
                        "ticket_type_id": str(type_id),
                        "limit": str(limit),
                        "taken": str(taken),
                    }
                )
        limit, taken = inventory.event.max_per_buyer, sum(self.tickets.values())
        if limit and taken + sum(quantities.values()) > limit:
            raise MaxPerBuyerExceeded(metadata={"limit": str(limit), "taken": str(taken)})
