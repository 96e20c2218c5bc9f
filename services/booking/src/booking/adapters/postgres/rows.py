"""Rows of PostgreSQL as values of the domain."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import orjson
from asyncpg.pgproto import pgproto

from booking.application.ports import (
    BookingKey,
    BookingOfEvent,
    BuyerOfEvent,
    CheckInTicket,
    TicketOfBooking,
)
from booking.domain.booking import Booking, BookingItem, BookingStatus, Ticket, TicketStatus
from booking.domain.buyer_usage import BuyerUsage
from booking.domain.event import Event, EventStatus
from booking.domain.inventory import EventInventory, TicketTypeInventory, inventory_of

Row = asyncpg.Record


def event_of(row: Row, prefix: str = "") -> Event:
    """Read the columns of the fragment `event_columns`, whose names begin with `prefix`."""
    return Event(
        id=row[prefix + "event_id"],
        organizer_id=row[prefix + "organizer_id"],
        name=row[prefix + "name"],
        location=row[prefix + "location"],
        timezone=row[prefix + "timezone"],
        starts_at=row[prefix + "starts_at"],
        ends_at=row[prefix + "ends_at"],
        currency=row[prefix + "currency"],
        status=EventStatus(row[prefix + "status"]),
        version=row[prefix + "version"],
        max_per_buyer=row[prefix + "max_per_buyer"],
    )


def inventories_of(rows: Iterable[Row]) -> list[EventInventory]:
    """Read events with their ticket types from the rows of `inventories` or `snapshot`."""
    found: dict[UUID, tuple[Row, list[TicketTypeInventory]]] = {}
    for row in rows:
        _, kinds = found.setdefault(row["event_id"], (row, []))
        if row["ticket_type_id"] is not None:
            kinds.append(_ticket_type_of(row))
    return [
        inventory_of(event_of(row), kinds, row["resync_after"]) for row, kinds in found.values()
    ]


def _ticket_type_of(row: Row) -> TicketTypeInventory:
    return TicketTypeInventory(
        id=row["ticket_type_id"],
        position=row["position"],
        name=row["ticket_type_name"],
        price=row["price"],
        capacity=row["capacity"],
        max_per_booking=row["max_per_booking"],
        held=row["held"],
        sold=row["sold"],
        version=row["inventory_version"],
        active=row["active"],
        max_per_buyer=row["type_max_per_buyer"],
    )


@dataclass(frozen=True, slots=True)
class UsedKey:
    """A used idempotency key with the fingerprint and booking of its first request."""

    user_id: UUID
    key: str
    fingerprint: bytes
    booking: BookingKey


def used_keys_of(rows: Sequence[Row]) -> list[UsedKey]:
    """Read the records of used keys from the rows of `snapshot`."""
    found = orjson.loads(rows[0]["records"] or "[]") if rows else []
    return [
        UsedKey(UUID(user), key, bytes.fromhex(digest), (UUID(event), UUID(booking)))
        for user, key, event, digest, booking in found
    ]


def bookings_of(
    rows: Sequence[Row], item_rows: Iterable[Row], ticket_rows: Iterable[Row]
) -> list[Booking]:
    """Read locked bookings, in the order of `rows`, with their items and tickets."""
    items: defaultdict[UUID, list[BookingItem]] = defaultdict(list)
    for row in item_rows:
        items[row["booking_id"]].append(
            BookingItem(
                row["ticket_type_id"], row["ticket_type_name"], row["quantity"], row["unit_price"]
            )
        )
    tickets: defaultdict[UUID, list[Ticket]] = defaultdict(list)
    for row in ticket_rows:
        tickets[row["booking_id"]].append(
            Ticket(row["id"], row["ticket_type_id"], row["code"], TicketStatus(row["status"]))
        )
    return [_booking_of(row, items[row["id"]], tickets[row["id"]]) for row in rows]


def bookings_of_events(rows: Iterable[Row]) -> list[BookingOfEvent]:
    """Read rows of the fragment `booking_details`; bookings of one event share its object."""
    events: dict[UUID, Event] = {}
    return [_booking_of_event(row, events) for row in rows]


def _booking_of_event(row: Row, events: dict[UUID, Event]) -> BookingOfEvent:
    items = [
        BookingItem(pgproto.UUID(type_id), name, quantity, price)
        for type_id, name, quantity, price in orjson.loads(row["items"] or "[]")
    ]
    tickets = [
        Ticket(pgproto.UUID(ticket_id), pgproto.UUID(type_id), code, TicketStatus(status))
        for ticket_id, type_id, code, status in orjson.loads(row["tickets"] or "[]")
    ]
    return BookingOfEvent(_booking_of(row, items, tickets), _shared_event(row, events, "e_"))


def _shared_event(row: Row, events: dict[UUID, Event], prefix: str = "") -> Event:
    event_id = row[prefix + "event_id"]
    event = events.get(event_id)
    if event is None:
        event = events[event_id] = event_of(row, prefix)
    return event


def _booking_of(row: Row, items: Sequence[BookingItem], tickets: Sequence[Ticket]) -> Booking:
    return Booking(
        id=row["id"],
        event_id=row["event_id"],
        user_id=row["user_id"],
        buyer_email=row["buyer_email"],
        buyer_name=row["buyer_name"],
        status=BookingStatus(row["status"]),
        items=tuple(items),
        tickets=tuple(tickets),
        currency=row["currency"],
        version=row["version"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        confirmed_at=row["confirmed_at"],
        closed_at=row["closed_at"],
        extended=row["hold_extended"],
    )


def buyer_usage_of(rows: Iterable[Row]) -> defaultdict[BuyerOfEvent, BuyerUsage]:
    """Read the usage of buyers, from a row per event, buyer and ticket type."""
    found: defaultdict[BuyerOfEvent, BuyerUsage] = defaultdict(BuyerUsage)
    for row in rows:
        usage = found[row["event_id"], row["user_id"]]
        usage.tickets[row["ticket_type_id"]] = row["tickets"]
        usage.holds += row["holds"]
    return found


def tickets_of_bookings(rows: Iterable[Row]) -> list[TicketOfBooking]:
    """Read rows of the fragment `printed_ticket`; tickets of one event share its object."""
    events: dict[UUID, Event] = {}
    return [_ticket_of_booking(row, events) for row in rows]


def _ticket_of_booking(row: Row, events: dict[UUID, Event]) -> TicketOfBooking:
    ticket = Ticket(
        row["ticket_id"], row["ticket_type_id"], row["code"], TicketStatus(row["ticket_status"])
    )
    return TicketOfBooking(
        ticket=ticket,
        booking_id=row["booking_id"],
        user_id=row["user_id"],
        ticket_type_name=row["ticket_type_name"],
        holder_name=row["buyer_name"],
        event=_shared_event(row, events),
    )


def check_in_ticket_of(row: Row) -> CheckInTicket:
    """Read a row of `check_in_tickets`."""
    return CheckInTicket(
        row["id"],
        row["ticket_type_id"],
        row["buyer_name"],
        TicketStatus(row["status"]),
        row["check_in_version"],
    )
