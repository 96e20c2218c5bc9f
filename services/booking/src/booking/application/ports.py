"""What the use cases need from the outside."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from booking.domain.booking import (
    Booking,
    BookingConfirmed,
    BookingEvent,
    BookingHeld,
    BookingStatus,
    Ticket,
)
from booking.domain.event import CatalogEvent, Event
from booking.domain.limits import Taken
from booking.domain.stock import EventStock, TicketTypeStock

Clock = Callable[[], datetime]
"""The time now, in UTC."""
NewId = Callable[[], UUID]
RequestKey = tuple[UUID, str]
"""A buyer's user id and idempotency key."""
BookingKey = tuple[UUID, UUID]
"""An event's id and the id of a booking of it."""
BuyerOfEvent = tuple[UUID, UUID]
"""An event's id and a buyer's user id."""
TypesOfEvents = Mapping[UUID, Collection[UUID] | None]
"""Ticket types by event; None for all of an event."""


class KeyTaken(Exception):
    """Another transaction has used one of these idempotency keys meanwhile."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a key was answered: the request's fingerprint and the booking as it is now."""

    fingerprint: bytes
    booking: Booking | None


@dataclass(frozen=True, slots=True)
class Sale:
    """A new booking, and what is stored with it: key, fingerprint and trace of the request."""

    placed: BookingHeld | BookingConfirmed
    key: str | None = None
    fingerprint: bytes = b""
    trace: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BookingOfEvent:
    """A booking and the event it is for."""

    booking: Booking
    event: Event


@dataclass(frozen=True, slots=True)
class TicketOfBooking:
    """A ticket with what is printed on it."""

    ticket: Ticket
    booking_id: UUID
    user_id: UUID
    ticket_type_name: str
    holder_name: str
    event: Event


@dataclass(frozen=True, slots=True)
class OpenSale:
    """What may be sold: the locked stock of events, and what used keys were answered.

    `contended` are events that another transaction is working on; one that is neither
    in there nor in `stocks` is not known here.
    """

    stocks: Mapping[UUID, EventStock]
    answers: dict[RequestKey, Answer]
    contended: Collection[UUID] = ()


class Transaction(Protocol):
    """One commit. Sales may be of many events; everything else is about one.

    Row locks are taken in this order, everywhere, so that no two transactions can
    wait for each other: bookings (by id), the event, ticket types (by id),
    idempotency keys (by user and key). Who sells for several events waits for no ticket
    type at all. The event is read after the ticket types are locked: whoever changes
    it locks them too, so what is read stays true.
    """

    async def lock_booking(self, event_id: UUID, booking_id: UUID) -> Booking:
        """Lock and read a booking that exists."""
        ...

    async def claim_due_holds(self, event_id: UUID, now: datetime, limit: int) -> list[Booking]:
        """Lock holds that have run out, skipping those that another transaction has."""
        ...

    async def claim_open_bookings(self, event_id: UUID, after: UUID, limit: int) -> list[Booking]:
        """Lock held and confirmed bookings by id beyond `after`, skipping locked ones."""
        ...

    async def lock_event(self, event_id: UUID) -> None:
        """Lock the event, if it is known."""
        ...

    async def lock_stock(
        self, event_id: UUID, ticket_type_ids: Collection[UUID] | None
    ) -> EventStock | None:
        """Lock these ticket types (None for all) and read the event's whole stock.

        Only the locked ones may be changed. None when the event is not known here.
        """
        ...

    async def open_sale(self, wanted: TypesOfEvents, keys: Collection[RequestKey]) -> OpenSale:
        """Lock ticket types, read their events' whole stock, and what keys were used for.

        Of one event it waits for the locks. Of several it takes what nobody else has:
        the others must not wait for one.
        """
        ...

    async def find_bookings(self, wanted: Collection[BookingKey]) -> dict[UUID, Booking]:
        """Read those of the bookings that exist, by their own id."""
        ...

    async def find_taken(
        self, buyers: Collection[BuyerOfEvent]
    ) -> defaultdict[BuyerOfEvent, Taken]:
        """Read what these buyers have, held or confirmed, of locked events."""
        ...

    async def add(self, sales: Sequence[Sale], stocks: Collection[EventStock]) -> None:
        """Store new bookings, what they took from the stocks, and their events.

        Raises:
            KeyTaken: another transaction, for another event, used one of the keys first.
            RequestInProgress: another one is about to and does not finish.
            SoldOut: the database knows better than `stocks`.
        """
        ...

    async def save(self, happened: Sequence[BookingEvent], stock: EventStock) -> None:
        """Store what happened to bookings locked before, to the stock, and the events."""
        ...

    async def follow_event(self, event: Event, read_at: datetime | None) -> bool:
        """Lock and store the event unless it is no newer than what is known.

        One as old is taken too when `read_at`, the time it was read from the catalog,
        is past the event's `resync_after`.
        """
        ...

    async def save_ticket_types(self, stock: EventStock) -> None:
        """Store every ticket type's description and capacity, and `resync_after`."""
        ...

    async def finish_closing(self, event_id: UUID) -> None:
        """Note that a cancelled event is done with, if no booking of it is open."""
        ...

    async def record_once(self, message_id: UUID) -> bool:
        """Remember a message of the catalog; False when it was here before."""
        ...


class Bookings(Protocol):
    """The bookings that exist."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction; it commits at the end of the block.

        After the commit the new availability is shown and the relay is woken.

        Raises:
            Busy: a lock was not to be had in time; nothing has changed.
        """
        ...

    async def find_booking(self, booking_id: UUID) -> BookingOfEvent | None:
        """Read a booking."""
        ...


class Sales(Bookings, Protocol):
    """The bookings that exist, and what there is to be sold."""

    async def look(
        self, event_ids: Collection[UUID], keys: Collection[RequestKey]
    ) -> tuple[Mapping[UUID, EventStock], Collection[RequestKey]]:
        """Read the stock of events, and which keys were used, as of one moment; lock nothing."""
        ...


class BookingLists(Protocol):
    """Pages of bookings and tickets, newest first; `before` is the last id of the page before."""

    async def find_event(self, event_id: UUID) -> Event | None:
        """Read an event."""
        ...

    async def list_bookings(
        self,
        *,
        user_id: UUID | None,
        event_id: UUID | None,
        status: BookingStatus | None,
        before: UUID | None,
        limit: int,
    ) -> list[BookingOfEvent]:
        """Read bookings of a user, of an event, or of a user for an event."""
        ...

    async def find_ticket(self, ticket_id: UUID) -> TicketOfBooking | None:
        """Read a ticket."""
        ...

    async def list_tickets(
        self, user_id: UUID, before: UUID | None, limit: int
    ) -> list[TicketOfBooking]:
        """Read a user's tickets."""
        ...


class Stocks(Protocol):
    """The stock of events, read without locks."""

    async def find_stocks(self, event_ids: Collection[UUID]) -> list[EventStock]:
        """Read the stock of those of the events that are known here."""
        ...


class Duties(Protocol):
    """What waits to be done when its time has come."""

    async def events_with_due_holds(self, now: datetime) -> list[UUID]:
        """Name some events with holds that have run out."""
        ...

    async def events_to_close(self) -> list[UUID]:
        """Name some cancelled events whose bookings may be open."""
        ...

    async def events_to_resync(self, now: datetime) -> list[UUID]:
        """Name some events to compare with the catalog."""
        ...

    async def forget_keys(self, before: datetime, limit: int) -> int:
        """Delete up to `limit` idempotency keys first used before then; return how many."""
        ...


class Catalog(Protocol):
    """The service that knows what is for sale."""

    async def get_events(self, event_ids: Collection[UUID]) -> list[CatalogEvent]:
        """Read events, drafts and cancelled ones included; unknown ones are left out.

        Raises:
            CatalogUnavailable: it does not answer.
        """
        ...


class Availability(Protocol):
    """Where everybody can see what is left. Never needed for correctness; never raises."""

    async def show(
        self, stocks: Sequence[EventStock], turned: Sequence[TicketTypeStock] = ()
    ) -> None:
        """Show the stock of some events, unless newer is shown already.

        `turned` are ticket types of theirs that have just sold out or come back, which
        is news to whoever turns buyers away.
        """
        ...
