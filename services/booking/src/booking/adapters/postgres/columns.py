"""Values of the domain as arrays of columns, for statements that write many rows at once."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import orjson
from goticket_platform.ids import new_id
from goticket_platform.telemetry import inject_context

from booking.application.ports import Sale
from booking.domain.booking import Booking, BookingEvent
from booking.domain.event import Event
from booking.domain.stock import EventStock
from booking.wire_json import event_type, payload_json, snapshot_json

Columns = list[object]


def key_columns(sales: Sequence[Sale]) -> Columns:
    """User, key, fingerprint, event and booking.

    Sorted by user and key, so that two transactions never wait in a circle.
    """
    rows = sorted(
        (booking.user_id, sale.key, sale.fingerprint, booking.event_id, booking.id)
        for sale in sales
        if sale.key is not None
        for booking in [sale.placed.booking]
    )
    return [[row[place] for row in rows] for place in range(5)]


def booking_columns(bookings: Sequence[Booking]) -> Columns:
    """Event, id, user, e-mail, name, status, currency, total, expiry and confirmation."""
    return [
        [booking.event_id for booking in bookings],
        [booking.id for booking in bookings],
        [booking.user_id for booking in bookings],
        [booking.buyer_email for booking in bookings],
        [booking.buyer_name for booking in bookings],
        [booking.status for booking in bookings],
        [booking.currency for booking in bookings],
        [booking.total for booking in bookings],
        [booking.expires_at for booking in bookings],
        [booking.confirmed_at for booking in bookings],
    ]


def item_columns(bookings: Sequence[Booking]) -> Columns:
    """Event, booking, position, ticket type, its name, quantity and unit price."""
    items = [
        (booking, place, item) for booking in bookings for place, item in enumerate(booking.items)
    ]
    return [
        [booking.event_id for booking, _, _ in items],
        [booking.id for booking, _, _ in items],
        [place for _, place, _ in items],
        [item.ticket_type_id for _, _, item in items],
        [item.ticket_type_name for _, _, item in items],
        [item.quantity for _, _, item in items],
        [item.unit_price for _, _, item in items],
    ]


def ticket_columns(bookings: Sequence[Booking]) -> Columns:
    """Event, id, booking, user, ticket type and code."""
    tickets = [(booking, ticket) for booking in bookings for ticket in booking.tickets]
    return [
        [booking.event_id for booking, _ in tickets],
        [ticket.id for _, ticket in tickets],
        [booking.id for booking, _ in tickets],
        [booking.user_id for booking, _ in tickets],
        [ticket.ticket_type_id for _, ticket in tickets],
        [ticket.code for _, ticket in tickets],
    ]


def outbox_columns(
    happened: Sequence[BookingEvent],
    events: Mapping[UUID, Event],
    traces: Sequence[Mapping[str, str]] | None = None,
) -> Columns:
    """Event, message id, type, booking, version, payload, trace headers and time."""
    if traces is None:
        traces = [inject_context()] * len(happened)
    bookings = [item.booking for item in happened]
    snapshots = {event_id: snapshot_json(event) for event_id, event in events.items()}
    return [
        [booking.event_id for booking in bookings],
        [new_id() for _ in happened],
        [event_type(item) for item in happened],
        [booking.id for booking in bookings],
        [booking.version for booking in bookings],
        [payload_json(item, snapshots[item.booking.event_id]) for item in happened],
        [orjson.dumps(trace).decode() for trace in traces],
        # The latest of what has happened to it.
        [b.closed_at or b.confirmed_at or b.created_at for b in bookings],
    ]


def move_columns(stocks: Iterable[EventStock]) -> Columns:
    """Event, ticket type, change of held and of sold."""
    moves = [
        (stock.event.id, type_id, move)
        for stock in stocks
        for type_id, move in stock.moves.items()
        if move.held or move.sold
    ]
    return [
        [event_id for event_id, _, _ in moves],
        [type_id for _, type_id, _ in moves],
        [move.held for _, _, move in moves],
        [move.sold for _, _, move in moves],
    ]
