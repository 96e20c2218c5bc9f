"""Bookings and tickets: rows locked in a transaction, and reads without locks."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from booking.domain.booking import Booking, BookingChange, BookingStatus, Ticket
from booking.domain.event import Event
from booking.domain.inventory import EventInventory

BookingKey = tuple[UUID, UUID]
"""Id of an event and id of one of its bookings."""

EventBuyer = tuple[UUID, UUID]
"""Id of an event and user id of one of its buyers."""


@dataclass(frozen=True, slots=True)
class ConfirmedBookings:
    """A page of an event's confirmed bookings: pairs of booking id and the buyer's user id.

    `event_version` is that of booking's copy of the event; 0 if the event is unknown.
    """

    event_version: int
    bookings: tuple[tuple[UUID, UUID], ...]


@dataclass(frozen=True, slots=True)
class BookingOfEvent:
    """A booking and its event."""

    booking: Booking
    event: Event


@dataclass(frozen=True, slots=True)
class TicketOfBooking:
    """A ticket with the data that is printed on it."""

    ticket: Ticket
    booking_id: UUID
    user_id: UUID
    ticket_type_name: str
    holder_name: str
    event: Event


@dataclass(frozen=True, slots=True)
class TicketPageQuery:
    """A page of a user's tickets, newest first; `before` is the last id of the page before."""

    user_id: UUID
    before: UUID | None
    limit: int


class BookingRows(Protocol):
    """Bookings in a transaction."""

    async def lock(self, event_id: UUID, booking_id: UUID) -> Booking:
        """Lock and read a booking that exists."""
        ...

    async def claim_due_holds(
        self, event_id: UUID, booking_ids: Sequence[UUID], now: datetime
    ) -> list[Booking]:
        """Lock those of the bookings that are holds past their end, skipping locked ones."""
        ...

    async def claim_open(self, event_id: UUID, booking_ids: Sequence[UUID]) -> list[Booking]:
        """Lock those of the bookings that are held or confirmed, skipping locked ones."""
        ...

    async def find(self, wanted: Collection[BookingKey]) -> dict[UUID, Booking]:
        """Read those of the bookings that exist, by booking id."""
        ...

    async def save(self, changes: Sequence[BookingChange], inventory: EventInventory) -> None:
        """Store changes of locked bookings, the inventory's changes, and outbox messages."""
        ...


class BookingQueries(Protocol):
    """Bookings and tickets, by id or in pages. Void tickets have no code.

    Pages are newest first; `before` is the last id of the page before.
    """

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

    async def find_bookings(self, booking_ids: Collection[UUID]) -> list[BookingOfEvent]:
        """Read those of the bookings that exist, in any order."""
        ...

    async def find_tickets(self, ticket_ids: Collection[UUID]) -> list[TicketOfBooking]:
        """Read those of the tickets that exist, in any order."""
        ...

    async def list_tickets(self, wanted: Sequence[TicketPageQuery]) -> list[list[TicketOfBooking]]:
        """Read pages of users' tickets: one for each query, in the same order."""
        ...


class BookingDetailsQueries(Protocol):
    """Bookings of several events, read for e-mails. Void tickets have no code."""

    async def find_details(self, wanted: Collection[BookingKey]) -> list[BookingOfEvent]:
        """Read those of the bookings that exist, with their events, as of one moment."""
        ...


class EventBuyerQueries(Protocol):
    """Confirmed bookings by event and buyer, read for e-mails. Void tickets have no code."""

    async def list_confirmed(self, event_id: UUID, after: UUID, limit: int) -> "ConfirmedBookings":
        """Read a page of the event's confirmed bookings with ids beyond `after`."""
        ...

    async def find_of_buyers(self, buyers: Collection["EventBuyer"]) -> list[BookingOfEvent]:
        """Read all confirmed bookings of the buyers for the events, in the order of their ids."""
        ...
