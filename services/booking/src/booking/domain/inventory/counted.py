"""Counted inventory: a number of equal tickets per ticket type."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from booking.domain.booking import Booking, BookingStatus
from booking.domain.errors import CapacityBelowTaken, SoldOut
from booking.domain.event import CatalogEvent, Event, TicketTypeOffer
from booking.domain.inventory.ticket_type import (
    CapacityShortfall,
    InventoryChange,
    TicketTypeInventory,
)


@dataclass(slots=True)
class CountedInventory:
    """All ticket types of an event by id.

    A caller that changes it holds the row locks of all its ticket types. `changes`
    collects the differences for one UPDATE at the end. `resync_after` is set while the
    catalog has not confirmed a shrink: booking reads the catalog again at that time.
    """

    event: Event
    ticket_types: dict[UUID, TicketTypeInventory]
    resync_after: datetime | None = None
    changes: dict[UUID, InventoryChange] = field(default_factory=dict)

    @property
    def active_ticket_types(self) -> list[TicketTypeInventory]:
        """Ticket types that are on offer, in the organizer's order."""
        active = (kind for kind in self.ticket_types.values() if kind.active)
        return sorted(active, key=lambda kind: (kind.position, kind.id))

    @property
    def next_version(self) -> int:
        """The version of the event's check-in list after the collected changes are stored.

        It is the sum of the ticket types' versions, of which each change adds one to its
        type's. Every transaction that issues or voids tickets locks all ticket types of the
        event and changes a count. So the versions of an event grow in commit order.
        """
        changed = sum(change.held != 0 or change.sold != 0 for change in self.changes.values())
        return sum(kind.version for kind in self.ticket_types.values()) + changed

    @property
    def has_buyer_limits(self) -> bool:
        """Whether the event or a ticket type limits the tickets of one buyer."""
        kinds = self.ticket_types.values()
        return bool(self.event.max_per_buyer) or any(kind.max_per_buyer for kind in kinds)

    def require_available(self, quantities: Mapping[UUID, int]) -> None:
        """Raise SoldOut unless these quantities of known types are available."""
        for type_id, quantity in quantities.items():
            available = self.ticket_types[type_id].available
            if quantity > available:
                raise SoldOut(
                    metadata={"ticket_type_id": str(type_id), "available": str(available)}
                )

    def reserve(self, quantities: Mapping[UUID, int], *, hold: bool) -> None:
        """Hold or sell tickets of known types, all or none.

        Raises:
            SoldOut: a type has not enough available; nothing has changed.
        """
        self.require_available(quantities)
        for type_id, quantity in quantities.items():
            self._adjust(type_id, held=quantity if hold else 0, sold=0 if hold else quantity)

    def confirm_hold(self, hold: Booking) -> None:
        """Turn the held tickets of a booking into sold ones."""
        for item in hold.items:
            self._adjust(item.ticket_type_id, held=-item.quantity, sold=item.quantity)

    def release(self, booking: Booking) -> None:
        """Release the tickets of an open booking, given as it was before it closed."""
        held = booking.status is BookingStatus.HELD
        for item in booking.items:
            self._adjust(
                item.ticket_type_id,
                held=-item.quantity if held else 0,
                sold=0 if held else -item.quantity,
            )

    def apply_catalog(
        self, catalog: CatalogEvent, *, read_at: datetime | None = None
    ) -> list[CapacityShortfall]:
        """Apply the catalog's state; return the capacities that could not be lowered so far.

        While a shrink is unconfirmed, an older message may still carry the larger capacity.
        It must not put sold-out tickets on sale again. So a capacity grows only after a
        resync: a read of the catalog at `read_at`, not before `resync_after`.
        """
        pending = self.resync_after is not None
        if self.resync_after and read_at and self.resync_after <= read_at:
            pending = False
        shortfalls = [
            shortfall
            for position, offer in enumerate(catalog.offers)
            if (shortfall := self._apply_offer(offer, position, may_grow=not pending))
        ]
        offered = {offer.id for offer in catalog.offers}
        for kind in self.ticket_types.values():
            kind.active = kind.id in offered
        self.event = catalog.event
        withheld = any(
            self.ticket_types[offer.id].capacity < offer.capacity for offer in catalog.offers
        )
        if not withheld:
            self.resync_after = None
        return shortfalls

    def shrink(self, capacities: Mapping[UUID, int], *, resync_after: datetime) -> None:
        """Lower capacities, all or none; never raise one, ignore unknown types.

        Raises:
            CapacityBelowTaken: more tickets of a type are sold or held.
        """
        known = [kind for kind in self.ticket_types.values() if kind.id in capacities]
        for kind in known:
            if capacities[kind.id] < kind.taken:
                raise CapacityBelowTaken(
                    metadata={"ticket_type_id": str(kind.id), "taken": str(kind.taken)}
                )
        for kind in known:
            kind.capacity = min(kind.capacity, capacities[kind.id])
        self.resync_after = resync_after

    def _apply_offer(
        self, offer: TicketTypeOffer, position: int, *, may_grow: bool
    ) -> CapacityShortfall | None:
        kind = self.ticket_types.get(offer.id)
        if kind is None:
            self.ticket_types[offer.id] = _new_ticket_type(offer, position)
            return None
        requested = offer.capacity if may_grow else min(offer.capacity, kind.capacity)
        kind.position, kind.name, kind.price = position, offer.name, offer.price
        kind.max_per_booking = offer.max_per_booking
        kind.max_per_buyer = offer.max_per_buyer
        kind.capacity = max(requested, kind.taken)
        if kind.capacity == requested:
            return None
        return CapacityShortfall(offer.id, requested, kind.capacity)

    def _adjust(self, type_id: UUID, *, held: int, sold: int) -> None:
        kind = self.ticket_types[type_id]
        kind.held += held
        kind.sold += sold
        change = self.changes.setdefault(type_id, InventoryChange())
        change.held += held
        change.sold += sold


def _new_ticket_type(offer: TicketTypeOffer, position: int) -> TicketTypeInventory:
    return TicketTypeInventory(
        id=offer.id,
        position=position,
        name=offer.name,
        price=offer.price,
        capacity=offer.capacity,
        max_per_booking=offer.max_per_booking,
        max_per_buyer=offer.max_per_buyer,
    )
