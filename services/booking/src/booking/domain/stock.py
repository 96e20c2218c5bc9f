"""The stock of one event: what is left of each ticket type, and what bookings do to it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from booking.domain.booking import Booking, BookingStatus
from booking.domain.errors import CapacityBelowTaken, SoldOut
from booking.domain.event import CatalogEvent, Event, TicketTypeOffer


@dataclass(slots=True)
class TicketTypeStock:
    """The counts of one ticket type; `price` in minor units.

    `stock_version` grows with every change of the counts or the capacity.
    """

    id: UUID
    position: int
    name: str
    price: int
    capacity: int
    max_per_booking: int
    held: int = 0
    sold: int = 0
    stock_version: int = 0
    active: bool = True
    max_per_buyer: int = 0

    @property
    def taken(self) -> int:
        """Tickets that are not for sale any more."""
        return self.held + self.sold

    @property
    def available(self) -> int:
        """Tickets that are left, never below 0."""
        return max(0, self.capacity - self.taken) if self.active else 0


@dataclass(slots=True)
class StockMove:
    """By how much the counts of one ticket type have changed."""

    held: int = 0
    sold: int = 0


@dataclass(frozen=True, slots=True)
class Clamped:
    """A capacity the catalog wants but that is taken already."""

    ticket_type_id: UUID
    wanted: int
    kept: int


@dataclass(slots=True)
class EventStock:
    """All ticket types of an event by id.

    Whoever changes it holds the row locks of the ticket types concerned; `moves`
    collects the changes for one UPDATE at the end. `resync_after` is set while a
    shrink waits for the catalog to save it: when to ask whether it did.
    """

    event: Event
    ticket_types: dict[UUID, TicketTypeStock]
    resync_after: datetime | None = None
    moves: dict[UUID, StockMove] = field(default_factory=dict)

    @property
    def on_offer(self) -> list[TicketTypeStock]:
        """Ticket types that are not removed, in the organizer's order."""
        active = (kind for kind in self.ticket_types.values() if kind.active)
        return sorted(active, key=lambda kind: (kind.position, kind.id))

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit to what one buyer may have."""
        kinds = self.ticket_types.values()
        return bool(self.event.max_per_buyer) or any(kind.max_per_buyer for kind in kinds)

    def must_have(self, quantities: Mapping[UUID, int]) -> None:
        """Raise SoldOut when not enough are left of one of these known types."""
        for type_id, quantity in quantities.items():
            left = self.ticket_types[type_id].available
            if quantity > left:
                raise SoldOut(metadata={"ticketTypeId": str(type_id), "available": str(left)})

    def take(self, quantities: Mapping[UUID, int], *, hold: bool) -> None:
        """Take tickets of known types, all or none.

        Raises:
            SoldOut: not enough are left of one type; nothing has changed.
        """
        self.must_have(quantities)
        for type_id, quantity in quantities.items():
            self._move(type_id, held=quantity if hold else 0, sold=0 if hold else quantity)

    def sell_held(self, hold: Booking) -> None:
        """Turn what a hold has set aside into sold tickets."""
        for item in hold.items:
            self._move(item.ticket_type_id, held=-item.quantity, sold=item.quantity)

    def give_back(self, booking: Booking) -> None:
        """Return what an open booking, as it was before it closed, has taken."""
        held = booking.status is BookingStatus.HELD
        for item in booking.items:
            self._move(
                item.ticket_type_id,
                held=-item.quantity if held else 0,
                sold=0 if held else -item.quantity,
            )

    def follow(self, catalog: CatalogEvent, *, read_at: datetime | None = None) -> list[Clamped]:
        """Become what the catalog says; return the capacities that could not shrink so far.

        While a shrink waits for the catalog to save it, a message may still tell the
        old, larger capacity. It must not reopen sold-out stock: growth then waits for
        a resync, a read of the catalog (`read_at`) after the shrink had its time.
        """
        pending = self.resync_after is not None
        if self.resync_after and read_at and self.resync_after <= read_at:
            pending = False
        clamped = [
            shortfall
            for position, offer in enumerate(catalog.offers)
            if (shortfall := self._follow_offer(offer, position, may_grow=not pending))
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
        return clamped

    def shrink(self, capacities: Mapping[UUID, int], *, resync_after: datetime) -> None:
        """Lower capacities, all or none; never raises one, ignores unknown types.

        Raises:
            CapacityBelowTaken: more is sold or held of a type.
        """
        known = [kind for kind in self.ticket_types.values() if kind.id in capacities]
        for kind in known:
            if capacities[kind.id] < kind.taken:
                raise CapacityBelowTaken(
                    metadata={"ticketTypeId": str(kind.id), "taken": str(kind.taken)}
                )
        for kind in known:
            kind.capacity = min(kind.capacity, capacities[kind.id])
        self.resync_after = resync_after

    def _follow_offer(
        self, offer: TicketTypeOffer, position: int, *, may_grow: bool
    ) -> Clamped | None:
        kind = self.ticket_types.get(offer.id)
        if kind is None:
            self.ticket_types[offer.id] = _stock_of(offer, position)
            return None
        wanted = offer.capacity if may_grow else min(offer.capacity, kind.capacity)
        kind.position, kind.name, kind.price = position, offer.name, offer.price
        kind.max_per_booking = offer.max_per_booking
        kind.max_per_buyer = offer.max_per_buyer
        kind.capacity = max(wanted, kind.taken)
        return Clamped(offer.id, wanted, kind.capacity) if kind.capacity > wanted else None

    def _move(self, type_id: UUID, *, held: int, sold: int) -> None:
        kind = self.ticket_types[type_id]
        kind.held += held
        kind.sold += sold
        move = self.moves.setdefault(type_id, StockMove())
        move.held += held
        move.sold += sold


def ticket_types_of(bookings: Iterable[Booking]) -> set[UUID]:
    """Return the ticket types whose stock these bookings take."""
    return {item.ticket_type_id for booking in bookings for item in booking.items}


def _stock_of(offer: TicketTypeOffer, position: int) -> TicketTypeStock:
    return TicketTypeStock(
        id=offer.id,
        position=position,
        name=offer.name,
        price=offer.price,
        capacity=offer.capacity,
        max_per_booking=offer.max_per_booking,
        max_per_buyer=offer.max_per_buyer,
    )
