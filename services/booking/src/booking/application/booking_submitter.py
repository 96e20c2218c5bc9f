"""Accepts commands to create bookings: any number at a time, with a result for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from booking.application.booking_context import BookingContext, BookingResult
from booking.application.commands.create_bookings import (
    create_bookings,
    create_bookings_of_event,
)
from booking.application.commands.prepare_booking import PreparedBooking
from booking.application.lanes import Lanes
from booking.domain.booking_creation import CreateBookingCommand


class BookingSubmitter(Protocol):
    """Decides commands to create bookings."""

    async def submit(
        self, commands: Sequence[CreateBookingCommand], deadline: float
    ) -> list[BookingResult]:
        """Decide the commands, those for one event in their order; each may fail on its own.

        No result is awaited past `deadline`, a time of the event loop's clock in seconds.
        """
        ...


@dataclass(frozen=True)
class UnbatchedSubmitter:
    """One transaction per command: simple, and the baseline for the batched one."""

    context: BookingContext

    async def submit(
        self, commands: Sequence[CreateBookingCommand], deadline: float
    ) -> list[BookingResult]:
        """See the port. The caller's own timeout enforces the deadline."""
        return [await self._submit(command) for command in commands]

    async def _submit(self, command: CreateBookingCommand) -> BookingResult:
        try:
            [result] = await create_bookings_of_event([command], self.context)
        except Exception as error:  # noqa: BLE001 - it is the result of this command
            return error
        return result


@dataclass(frozen=True)
class BatchedSubmitter:
    """One transaction for all commands that have queued since the last ones began."""

    context: BookingContext
    lanes: Lanes[PreparedBooking, BookingResult]

    async def submit(
        self, commands: Sequence[CreateBookingCommand], deadline: float
    ) -> list[BookingResult]:
        """See the port. Commands are prepared while the batches before them commit."""
        commit = partial(self.lanes.ask, deadline=deadline)
        return await create_bookings(commands, self.context, commit)
