"""Rejects commands for sold-out events without locks."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from goticket_kernel.errors import DomainError

from booking.application.commands.prepare_booking import PreparedBooking
from booking.application.ports import CreationStore
from booking.domain.booking_creation import CommandLine, require_grantable
from booking.domain.inventory import EventInventory

Rejections = dict[UUID, DomainError]
"""The errors of rejected bookings, by the id that the booking would have had."""


async def reject_sold_out(
    prepared: Sequence[PreparedBooking], bookings: CreationStore, now: datetime
) -> Rejections:
    """Return the errors of those bookings that cannot be granted.

    Such a rejection is as correct as one under locks: inventory and idempotency keys are
    read as of one moment. If an earlier request with the same key is being committed
    elsewhere, its tickets are still available in that snapshot. So the repeat is not
    rejected here; it waits for the locks and finds its booking.
    """
    keys = {key for booking in prepared if (key := booking.key)}
    snapshot = await bookings.read_snapshot({booking.event_id for booking in prepared}, keys)
    # Most commands for an event have the same lines, and then the same result.
    rejection_of: dict[tuple[UUID, tuple[CommandLine, ...]], DomainError | None] = {}
    rejections: Rejections = {}
    for booking in prepared:
        inventory = snapshot.inventories.get(booking.event_id)
        if inventory is None or booking.attempted or booking.key in snapshot.used_keys:
            continue
        request_content = (booking.event_id, booking.command.lines)
        if request_content not in rejection_of:
            rejection_of[request_content] = _rejection(booking, inventory, now)
        if rejection := rejection_of[request_content]:
            rejections[booking.booking_id] = rejection
    return rejections


def _rejection(
    booking: PreparedBooking, inventory: EventInventory, now: datetime
) -> DomainError | None:
    try:
        require_grantable(booking.command, inventory, now)
    except DomainError as rejection:
        return rejection
    return None
