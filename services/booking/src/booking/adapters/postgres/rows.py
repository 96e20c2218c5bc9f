"""Rows of PostgreSQL as values of the domain, column by column."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import orjson

from booking.application.ports import BookingKey, BuyerOfEvent, TicketOfBooking
from booking.domain.booking import Booking, BookingItem, BookingStatus, Ticket, TicketStatus
from booking.domain.event import Event, EventStatus
from booking.domain.limits import Taken
from booking.domain.stock import EventStock, TicketTypeStock

Row = asyncpg.Record


def event_of(row: Row) -> Event:
    """Read an event."""
    return Event(
        id=row["event_id"],
        organizer_id=row["organizer_id"],
        name=row["name"],
        location=row["location"],
        timezone=row["timezone"],
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        currency=row["currency"],
        status=EventStatus(row["status"]),
        version=row["version"],
        max_per_buyer=row["max_per_buyer"],
    )


def stocks_of(rows: Iterable[Row]) -> list[EventStock]:
    """Read events with their ticket types from the rows of `stocks`."""
    found: dict[UUID, EventStock] = {}
    for row in rows:
        stock = found.get(row["event_id"])
        if stock is None:
            stock = EventStock(event_of(row), {}, row["resync_after"])
            found[stock.event.id] = stock
        if row["ticket_type_id"] is not None:
            kind = _ticket_type_of(row)
            stock.ticket_types[kind.id] = kind
    return list(found.values())


@dataclass(frozen=True, slots=True)
class UsedKey:
    """What a key was used for."""

    user_id: UUID
    key: str
    fingerprint: bytes
    booking: BookingKey


def answers_of(rows: Sequence[Row]) -> list[UsedKey]:
    """Read what keys were used for, from the rows of `sale`."""
    found = orjson.loads(rows[0]["answers"] or "[]") if rows else []
    return [
        UsedKey(UUID(user), key, bytes.fromhex(digest), (UUID(event), UUID(booking)))
        for user, key, event, digest, booking in found
    ]


def _ticket_type_of(row: Row) -> TicketTypeStock:
    return TicketTypeStock(
        id=row["ticket_type_id"],
        position=row["position"],
        name=row["ticket_type_name"],
        price=row["price"],
        capacity=row["capacity"],
        max_per_booking=row["max_per_booking"],
        held=row["held"],
        sold=row["sold"],
        stock_version=row["stock_version"],
        active=row["active"],
        max_per_buyer=row["max_of_type_per_buyer"],
    )


def bookings_of(
    rows: Sequence[Row], item_rows: Iterable[Row], ticket_rows: Iterable[Row]
) -> list[Booking]:
    """Read bookings, in the order of `rows`, with their lines and tickets."""
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


def taken_of(rows: Iterable[Row]) -> defaultdict[BuyerOfEvent, Taken]:
    """Read what buyers have, from a row per event, buyer and ticket type."""
    found: defaultdict[BuyerOfEvent, Taken] = defaultdict(Taken)
    for row in rows:
        taken = found[row["event_id"], row["user_id"]]
        taken.tickets[row["ticket_type_id"]] = row["tickets"]
        taken.holds += row["holds"]
    return found


def ticket_of_booking(row: Row) -> TicketOfBooking:
    """Read a ticket with what is printed on it."""
    ticket = Ticket(
        row["ticket_id"], row["ticket_type_id"], row["code"], TicketStatus(row["ticket_status"])
    )
    return TicketOfBooking(
        ticket=ticket,
        booking_id=row["booking_id"],
        user_id=row["user_id"],
        ticket_type_name=row["ticket_type_name"],
        holder_name=row["buyer_name"],
        event=event_of(row),
    )
