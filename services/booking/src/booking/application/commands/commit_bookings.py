"""Commits prepared bookings of any events in one transaction."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from goticket_kernel.errors import DomainError

from booking.application.booking_context import BookingContext, BookingResult, CreatedBooking
from booking.application.commands.prepare_booking import PreparedBooking
from booking.application.commands.reject_sold_out import Rejections, reject_sold_out
from booking.application.ports import (
    BuyerOfEvent,
    IdempotencyRecord,
    KeyTaken,
    LockedSnapshot,
    NewBooking,
    RequestKey,
)
from booking.domain.booking import Booking
from booking.domain.booking_creation import decide_booking
from booking.domain.buyer_usage import BuyerUsage
from booking.domain.errors import (
    Busy,
    EventNotFound,
    IdempotencyKeyReused,
    RequestInProgress,
    SoldOut,
)
from booking.domain.inventory import EventInventory


async def commit_bookings(
    prepared: Sequence[PreparedBooking], context: BookingContext
) -> Sequence[BookingResult | None]:
    """Decide prepared bookings in their order; return a result for each.

    A rejected booking changes nothing and does not block any other. If the bookings are
    of several events, an event that another transaction has locked, or whose idempotency
    keys it is using, is not decided. Its results are None: the caller has to submit them
    again without the other events.
    """
    likely = [booking for booking in prepared if booking.event_id not in context.sold_out]
    rejections: Rejections = {}
    if len(likely) < len(prepared):
        unlikely = [booking for booking in prepared if booking.event_id in context.sold_out]
        rejections = await reject_sold_out(unlikely, context.bookings, context.now())
        likely = [booking for booking in prepared if booking.booking_id not in rejections]
    decided = iter(await _commit_or_split(likely, context) if likely else ())
    results = [rejections.get(booking.booking_id) or next(decided) for booking in prepared]
    context.sold_out.record(
        (booking.event_id for booking in prepared), (_is_sold_out(result) for result in results)
    )
    return results


def _is_sold_out(result: BookingResult | None) -> bool | None:
    if isinstance(result, CreatedBooking):
        return None if result.replayed else False
    return True if isinstance(result, SoldOut) else None


async def _commit_or_split(
    prepared: Sequence[PreparedBooking], context: BookingContext
) -> Sequence[BookingResult | None]:
    """Commit the batch; split it if another transaction is using one of its keys."""
    try:
        return await _commit_with_retry(prepared, context)
    except RequestInProgress as rejection:
        if len(prepared) == 1:
            return [rejection]
    if len({booking.event_id for booking in prepared}) > 1:
        return [None] * len(prepared)
    # Committed one by one, only the booking with that key fails.
    return [result for booking in prepared for result in await _commit_or_split([booking], context)]


async def _commit_with_retry(
    prepared: Sequence[PreparedBooking], context: BookingContext
) -> Sequence[BookingResult | None]:
    """Commit the batch; retry once if another event's commit has taken a key."""
    with context.in_flight_keys.track(_keys(prepared)) as in_flight_elsewhere:
        try:
            try:
                return await _commit(prepared, context)
            except KeyTaken:
                return await _commit(prepared, context)
        except Busy:
            return [
                RequestInProgress() if in_flight_elsewhere(booking.key) else Busy()
                for booking in prepared
            ]


async def _commit(
    prepared: Sequence[PreparedBooking], context: BookingContext
) -> Sequence[BookingResult | None]:
    async with context.bookings.transaction() as transaction:
        # The rows are locked first. If another replica is committing an earlier request
        # with the same key, the repeat waits here and then finds its booking.
        event_ids = {booking.event_id for booking in prepared}
        snapshot = await transaction.creation.lock_snapshot(event_ids, _keys(prepared))
        attempted = [
            (booking.event_id, booking.booking_id) for booking in prepared if booking.attempted
        ]
        committed = await transaction.bookings.find(attempted) if attempted else {}
        buyers = _limited_buyers(prepared, snapshot, context)
        usage = await transaction.creation.find_buyer_usage(buyers) if buyers else None
        batch = _Batch(context, snapshot, committed, usage)
        results = [batch.decide(booking) for booking in prepared]
        if batch.new_bookings:
            await transaction.creation.add(batch.new_bookings, snapshot.inventories.values())
    context.known_inventories.record(snapshot.inventories.values())
    return results


class _Batch:
    """The bookings of one transaction, decided one after the other.

    `committed` are bookings that an earlier attempt has committed.
    """

    def __init__(
        self,
        context: BookingContext,
        snapshot: LockedSnapshot,
        committed: Mapping[UUID, Booking],
        usage: defaultdict[BuyerOfEvent, BuyerUsage] | None,
    ) -> None:
        self.new_bookings: list[NewBooking] = []
        self._context = context
        self._now = context.now()
        self._snapshot = snapshot
        self._committed = committed
        self._usage = usage

    def decide(self, prepared: PreparedBooking) -> BookingResult | None:
        """Decide one booking. A rejected one changes nothing."""
        inventory = self._snapshot.inventories.get(prepared.event_id)
        if inventory is None:
            return None if prepared.event_id in self._snapshot.contended else EventNotFound()
        try:
            return self._find_earlier(prepared, inventory) or self._create(prepared, inventory)
        except DomainError as rejection:
            return rejection

    def _find_earlier(
        self, prepared: PreparedBooking, inventory: EventInventory
    ) -> CreatedBooking | None:
        if committed := self._committed.get(prepared.booking_id):
            return CreatedBooking(committed, inventory.event)
        record = self._snapshot.records.get(prepared.key) if prepared.key else None
        if record is None:
            return None
        # The fingerprint covers the event, too.
        if record.booking is None or record.fingerprint != prepared.fingerprint:
            raise IdempotencyKeyReused
        return CreatedBooking(record.booking, inventory.event, replayed=True)

    def _create(self, prepared: PreparedBooking, inventory: EventInventory) -> CreatedBooking:
        context, command = self._context, prepared.command
        granted = decide_booking(
            command,
            inventory,
            booking_id=prepared.booking_id,
            now=self._now,
            hold_for=context.hold_for,
            issue=prepared.issue_with(context.issue),
            usage=None if self._usage is None else self._usage[prepared.buyer],
            max_holds=context.max_holds,
        )
        prepared.attempted = True
        self.new_bookings.append(
            NewBooking(
                granted, command.idempotency_key, prepared.fingerprint, prepared.message_headers
            )
        )
        if prepared.key is not None:
            # A repeat further down the same batch gets this booking.
            self._snapshot.records[prepared.key] = IdempotencyRecord(
                prepared.fingerprint, granted.booking
            )
        return CreatedBooking(granted.booking, inventory.event)


def _keys(prepared: Sequence[PreparedBooking]) -> set[RequestKey]:
    return {key for booking in prepared if (key := booking.key)}


def _limited_buyers(
    prepared: Sequence[PreparedBooking], snapshot: LockedSnapshot, context: BookingContext
) -> set[BuyerOfEvent]:
    """Return the buyers whose usage has to be read, because a limit applies to them."""
    limited = {
        event_id
        for event_id, inventory in snapshot.inventories.items()
        if inventory.has_buyer_limits
    }
    return {
        booking.buyer
        for booking in prepared
        if booking.event_id in limited or (booking.command.hold and context.max_holds)
    }
