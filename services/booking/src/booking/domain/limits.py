"""What one buyer may have of an event, over all bookings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from booking.domain.errors import MaxPerBuyerExceeded, TooManyHolds
from booking.domain.stock import EventStock


@dataclass(slots=True)
class Taken:
    """What a buyer has, held or confirmed: tickets by type, and how many holds."""

    tickets: dict[UUID, int] = field(default_factory=dict)
    holds: int = 0

    def add(self, quantities: Mapping[UUID, int], *, hold: bool) -> None:
        """Count a booking that was granted."""
        for type_id, quantity in quantities.items():
            self.tickets[type_id] = self.tickets.get(type_id, 0) + quantity
        self.holds += hold

    def must_leave_room(
        self, quantities: Mapping[UUID, int], stock: EventStock, *, hold: bool, max_holds: int
    ) -> None:
        """Raise unless the buyer may have these tickets, too. A limit of 0 is none.

        Raises:
            TooManyHolds: `max_holds` at a time, and this would be one more.
            MaxPerBuyerExceeded: too many of one type, or of the event.
        """
        if hold and max_holds and self.holds >= max_holds:
            raise TooManyHolds(metadata={"limit": str(max_holds)})
        for type_id, quantity in quantities.items():
            limit = stock.ticket_types[type_id].max_per_buyer
            had = self.tickets.get(type_id, 0)
            if limit and had + quantity > limit:
                raise MaxPerBuyerExceeded(
                    metadata={
                        "ticketTypeId": str(type_id),
                        "limit": str(limit),
                        "taken": str(had),
                    }
                )
        limit, had = stock.event.max_per_buyer, sum(self.tickets.values())
        if limit and had + sum(quantities.values()) > limit:
            raise MaxPerBuyerExceeded(metadata={"limit": str(limit), "taken": str(had)})
