"""Decides commands to create bookings: the port, and the submitter without batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from booking.application.booking_context import BookingContext, BookingResult
from booking.application.commands.create_bookings import create_bookings_of_event
from booking.domain.booking_creation import CreateBookingCommand


class BookingSubmitter(Protocol):
    """Decides commands to create bookings."""

    async def submit(
        self, commands: Sequence[CreateBookingCommand], deadline: float
    ) -> list[BookingResult]:
        """Decide the commands, those of one event in their order; return a result for each.

        A command that fails does not affect the others. Callers wait until `deadline`, a time
        of the event loop's clock in seconds.
        """
        ...


@dataclass(frozen=True)
class UnbatchedSubmitter:
    """Decides each command in a transaction of its own: the baseline of the batched submitter."""

    context: BookingContext

    async def submit(
        self, commands: Sequence[CreateBookingCommand], deadline: float
    ) -> list[BookingResult]:
        """See `BookingSubmitter`. The timeout of the caller's RPC enforces the deadline."""
        return [await self._submit(command) for command in commands]

    async def _submit(self, command: CreateBookingCommand) -> BookingResult:
        try:
            [result] = await create_bookings_of_event([command], self.context)
        except Exception as error:  # noqa: BLE001 - it is the result of this command
            return error
        return result
