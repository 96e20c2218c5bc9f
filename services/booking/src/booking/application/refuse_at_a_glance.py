"""Turn away without locks whoever comes after the last ticket."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from booking.application.order import Order
from booking.application.ports import Sales
from booking.domain.errors import DomainError
from booking.domain.placing import Line, must_be_possible
from booking.domain.stock import EventStock

Refusals = dict[UUID, DomainError]
"""Why orders are refused, by the id their booking would have had."""


async def refuse_at_a_glance(orders: Sequence[Order], bookings: Sales, now: datetime) -> Refusals:
    """Refuse the orders that cannot be granted; say nothing of the others.

    That is as true as a refusal under locks: stock and keys are read as of one moment.
    When an earlier try of an order is being granted elsewhere, its tickets are not off
    that stock yet: there is enough for it, so that it goes on to wait for the locks.
    """
    keys = {key for order in orders if (key := order.key)}
    stocks, used = await bookings.look({order.event_id for order in orders}, keys)
    # Whoever wants the same of an event is told the same, and most want the same.
    told: dict[tuple[UUID, tuple[Line, ...]], DomainError | None] = {}
    refusals: Refusals = {}
    for order in orders:
        stock = stocks.get(order.event_id)
        if stock is None or order.tried or order.key in used:
            continue
        wanted = (order.event_id, order.request.lines)
        if wanted not in told:
            told[wanted] = _refusal(order, stock, now)
        if refusal := told[wanted]:
            refusals[order.booking_id] = refusal
    return refusals


def _refusal(order: Order, stock: EventStock, now: datetime) -> DomainError | None:
    try:
        must_be_possible(order.request, stock, now)
    except DomainError as refusal:
        return refusal
    return None
