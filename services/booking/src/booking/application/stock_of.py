"""Lock the stock that open bookings have taken."""

from collections.abc import Sequence

from booking.application.ports import Transaction
from booking.domain.booking import Booking
from booking.domain.stock import EventStock, ticket_types_of


async def stock_of(transaction: Transaction, bookings: Sequence[Booking]) -> EventStock:
    """Lock the ticket types of bookings of one event, and read its stock.

    Raises:
        LookupError: the event is gone, which cannot be while it has bookings.
    """
    event_id = bookings[0].event_id
    stock = await transaction.lock_stock(event_id, ticket_types_of(bookings))
    if stock is None:
        raise LookupError(f"event {event_id} has bookings but no stock")
    return stock
