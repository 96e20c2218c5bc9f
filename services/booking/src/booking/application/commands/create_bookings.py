"""Creates bookings: from commands to results, also for events that booking does not know yet."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import cast

from goticket_kernel.errors import DomainError

from booking.application.booking_context import BookingContext, BookingResult
from booking.application.commands.commit_bookings import commit_bookings
from booking.application.commands.prepare_booking import PreparedBooking, prepare_booking
from booking.application.commands.provision_event import ProvisionEvent
from booking.domain.booking_creation import CreateBookingCommand
from booking.domain.errors import EventNotFound, UnknownTicketType

CommitBookings = Callable[[Sequence[PreparedBooking]], Awaitable[Sequence[BookingResult]]]
"""Commits prepared bookings, those of one event in their order, and returns a result for each."""


async def create_bookings_of_event(
    commands: Sequence[CreateBookingCommand], context: BookingContext
) -> list[BookingResult]:
    """Decide commands for one event in their order, in a transaction of their own.

    Raises:
        Exception: anything but a rejection, which is a result.
    """
    # Bookings of a single event are never left undecided.
    commit = cast("CommitBookings", partial(commit_bookings, context=context))
    results = await create_bookings(commands, context, commit)
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, DomainError):
            raise result
    return results


async def create_bookings(
    commands: Sequence[CreateBookingCommand], context: BookingContext, commit: CommitBookings
) -> list[BookingResult]:
    """Prepare commands and commit them; return a result for each.

    Events and ticket types that booking does not know are fetched from the catalog, once,
    outside of any transaction. If the catalog is down, only the commands that need it fail.
    """
    results: list[BookingResult | None] = []
    prepared: list[PreparedBooking] = []
    headers = context.message_headers()
    for command in commands:
        try:
            prepared.append(prepare_booking(command, context, headers))
        except DomainError as rejection:
            results.append(rejection)
        else:
            results.append(None)
    committed = iter(await _commit_provisioned(prepared, context.provision, commit))
    return [next(committed) if result is None else result for result in results]


async def _commit_provisioned(
    prepared: Sequence[PreparedBooking], provision: ProvisionEvent, commit: CommitBookings
) -> list[BookingResult]:
    """Commit the bookings; commit again those of events that the catalog has in a newer version.

    Unknown ticket types of an event cost one call of the catalog a second.
    """
    if not prepared:
        return []
    results = list(await commit(prepared))
    unknown = [
        index
        for index, result in enumerate(results)
        if isinstance(result, EventNotFound)
        or (
            isinstance(result, UnknownTicketType)
            and not provision.is_complete(prepared[index].event_id)
        )
    ]
    if not unknown:
        return results
    found = await provision.all({prepared[index].event_id for index in unknown})
    repeated = []
    for index in unknown:
        match found[prepared[index].event_id]:
            case True:
                repeated.append(index)
            case Exception() as failure:
                results[index] = failure
    if repeated:
        committed = await commit([prepared[index] for index in repeated])
        for index, result in zip(repeated, committed, strict=True):
            results[index] = result
        provision.record_complete(
            {
                prepared[index].event_id
                for index in repeated
                if isinstance(results[index], UnknownTicketType)
            }
        )
    return results
