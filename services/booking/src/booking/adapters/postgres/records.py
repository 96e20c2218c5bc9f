"""Values of the domain as the one JSON argument of a statement that writes many rows.

The keys of the records are the column names that `jsonb_to_recordset` expects in
queries.sql. One text costs less CPU than an array for each of the 42 columns.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from goticket_platform.ids import new_id

from booking.application.ports import NewBooking
from booking.domain.booking import Booking, BookingChange, BookingConfirmed
from booking.domain.inventory import EventInventory, TicketTypeInventory
from booking.wire_json import event_type, payload_json, timestamp_json

Record = dict[str, Any]


def new_bookings_json(
    new_bookings: Sequence[NewBooking], inventories: Collection[EventInventory]
) -> str:
    """Write the argument of `create_bookings`."""
    events = {
        each.event.id: (str(each.event.organizer_id), each.next_version) for each in inventories
    }
    items: list[Record] = []
    tickets: list[Record] = []
    bookings = []
    for new in new_bookings:
        booking = new.granted.booking
        organizer_id, version = events[booking.event_id]
        record = _new_booking(new, organizer_id)
        bookings.append(record)
        items += _items(booking, record)
        tickets += _tickets(booking, record, version)
    return _dump(
        {
            "bookings": bookings,
            "items": items,
            "tickets": tickets,
            "inventory": _adjustments(inventories),
        }
    )


def changed_bookings_json(
    changes: Sequence[BookingChange], inventory: EventInventory, headers: Mapping[str, str]
) -> str:
    """Write the argument of `change_bookings`; its messages carry `headers`."""
    organizer_id = str(inventory.event.organizer_id)
    tickets: list[Record] = []
    bookings = []
    for change in changes:
        record = _changed_booking(change, organizer_id, headers)
        bookings.append(record)
        if isinstance(change, BookingConfirmed):
            tickets += _tickets(change.booking, record, inventory.next_version)
    adjustments = _adjustments([inventory])
    return _dump({"bookings": bookings, "tickets": tickets, "inventory": adjustments})


def ticket_types_json(kinds: Iterable[TicketTypeInventory]) -> str:
    """Write the argument of `save_ticket_types`, in id order."""
    return _dump(
        [
            {
                "id": str(kind.id),
                "position": kind.position,
                "name": kind.name,
                "price": kind.price,
                "capacity": kind.capacity,
                "max_per_booking": kind.max_per_booking,
                "active": kind.active,
                "max_per_buyer": kind.max_per_buyer,
            }
            for kind in sorted(kinds, key=lambda kind: kind.id)
        ]
    )


def _new_booking(new: NewBooking, organizer_id: str) -> Record:
    booking = new.granted.booking
    record = _booking(new.granted, organizer_id, new.message_headers)
    record["buyer_email"] = booking.buyer_email
    record["buyer_name"] = booking.buyer_name
    record["currency"] = booking.currency
    record["total"] = booking.total
    record["created_at"] = timestamp_json(booking.created_at)
    if new.idempotency_key is not None:
        record["key"] = new.idempotency_key
        record["fingerprint"] = "\\x" + new.fingerprint.hex()
    return record


def _changed_booking(
    change: BookingChange, organizer_id: str, headers: Mapping[str, str]
) -> Record:
    booking = change.booking
    # The time of the latest change is the time of this one.
    occurred_at = booking.closed_at or booking.confirmed_at or booking.created_at
    record = _booking(change, organizer_id, headers)
    record["version"] = booking.version
    record["closed_at"] = timestamp_json(booking.closed_at)
    record["hold_extended"] = booking.extended
    record["occurred_at"] = timestamp_json(occurred_at)
    return record


def _booking(change: BookingChange, organizer_id: str, headers: Mapping[str, str]) -> Record:
    """Return the columns that a new and a changed booking share, and its outbox message."""
    booking = change.booking
    payload = payload_json(change, organizer_id)
    state = payload["booking"]
    return {
        "event_id": state["eventId"],
        "id": state["id"],
        "user_id": state["userId"],
        "status": booking.status,
        "expires_at": state.get("expiresAt"),
        "confirmed_at": state.get("confirmedAt"),
        "message_id": str(new_id()),
        "message_type": event_type(change),
        "payload": _dump(payload),
        "headers": _dump(headers),
    }


def _items(booking: Booking, record: Record) -> list[Record]:
    return [
        {
            "event_id": record["event_id"],
            "booking_id": record["id"],
            "position": position,
            "ticket_type_id": str(item.ticket_type_id),
            "ticket_type_name": item.ticket_type_name,
            "quantity": item.quantity,
            "unit_price": item.unit_price,
        }
        for position, item in enumerate(booking.items)
    ]


def _tickets(booking: Booking, record: Record, check_in_version: int) -> list[Record]:
    return [
        {
            "event_id": record["event_id"],
            "id": str(ticket.id),
            "booking_id": record["id"],
            "user_id": record["user_id"],
            "ticket_type_id": str(ticket.ticket_type_id),
            "code": ticket.code,
            "check_in_version": check_in_version,
        }
        for ticket in booking.tickets
    ]


def _adjustments(inventories: Iterable[EventInventory]) -> list[Record]:
    return [
        {
            "event_id": str(inventory.event.id),
            "ticket_type_id": str(type_id),
            "held": change.held,
            "sold": change.sold,
        }
        for inventory in inventories
        for type_id, change in inventory.changes.items()
        if change.held or change.sold
    ]


def _dump(value: object) -> str:
    return orjson.dumps(value).decode()


def ids_of(keys: Collection[tuple[UUID, Any]]) -> tuple[list[UUID], list[Any]]:
    """Split pairs into two lists, the arguments of an `unnest` of two arrays."""
    return [first for first, _ in keys], [second for _, second in keys]
