"""Decides many commands to create bookings in one transaction."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Protocol, TypeVar
from uuid import UUID

from goticket_platform.batching import Batcher, BatchingLimits, RetryingExecutor
from goticket_platform.batching.retrying import RETRY_DELAYS

from booking.application.booking_context import BookingContext, BookingResult
from booking.application.commands.create_bookings import create_bookings
from booking.application.commands.prepare_booking import PreparedBooking
from booking.domain.booking_creation import CreateBookingCommand
from booking.domain.errors import Busy


class RequestOfEvent(Protocol):
    """A request for one event."""

    @property
    def event_id(self) -> UUID:
        """The key of its queue."""
        ...


RequestT = TypeVar("RequestT", bound=RequestOfEvent)
OutcomeT = TypeVar("OutcomeT")


@dataclass(frozen=True)
class BatchedSubmitter:
    """Decides in one transaction the commands that have arrived while the previous ones committed.

    Batches make bookings fast; the row locks of the transaction make them correct.
    """

    context: BookingContext
    batcher: Batcher[UUID, PreparedBooking, BookingResult]

    async def submit(
        self, commands: Sequence[CreateBookingCommand], deadline: float
    ) -> list[BookingResult]:
        """See `BookingSubmitter`. Commands are prepared while the batches before them commit."""
        commit = partial(self._commit, deadline=deadline)
        return await create_bookings(commands, self.context, commit)

    async def _commit(
        self, prepared: Sequence[PreparedBooking], deadline: float
    ) -> list[BookingResult]:
        # A transaction with one booking keeps the trace and log context of its request.
        context = contextvars.copy_context()
        return await self.batcher.submit_many(prepared, deadline, context)


def batching_limits(
    *,
    max_batch_size: int = 256,
    max_in_flight: int = 4,
    solo_threshold: int = 32,
    max_waiting_per_event: int = 2_048,
    max_waiting: int = 8_192,
) -> BatchingLimits:
    """Return the limits of booking's batcher, in which the key of a request is its event.

    At most `max_in_flight` transactions run at a time, of one event at most one, and one is
    reserved for events with few requests. An event with `solo_threshold` waiting requests gets
    transactions of its own: by then a transaction is a small part of what its requests cost.
    """
    return BatchingLimits(
        max_batch_size=max_batch_size,
        max_waiting=max_waiting,
        max_waiting_per_key=max_waiting_per_event,
        max_in_flight=max_in_flight,
        max_in_flight_per_key=1,
        max_solo_in_flight=max(1, max_in_flight - 1),
        solo_threshold=solo_threshold,
        # Until a whole batch waits, one slow transaction predicts little.
        min_waiting_for_estimate=max_batch_size,
    )


def open_batcher(
    commit: Callable[[Sequence[RequestT]], Awaitable[Sequence[OutcomeT | None]]],
    *,
    is_transient: Callable[[BaseException], bool],
    limits: BatchingLimits | None = None,
    retry_delays: Sequence[float] = RETRY_DELAYS,
    clock: Callable[[], float] | None = None,
    on_commit: Callable[[int], None] = lambda _size: None,
) -> Batcher[UUID, RequestT, OutcomeT]:
    """Return a batcher of requests by event that decides batches with `commit`.

    See `RetryingExecutor` for `commit`. `clock` is the running event loop's by default.
    `on_commit` is called with the size of each transaction.
    """
    clock = clock or asyncio.get_running_loop().time
    execute: RetryingExecutor[UUID, RequestT, OutcomeT] = RetryingExecutor(
        commit,
        is_transient=is_transient,
        late_error=Busy,
        clock=clock,
        retry_delays=retry_delays,
        on_attempt=on_commit,
    )
    return Batcher(
        execute,
        key_of=attrgetter("event_id"),
        error_for=lambda _reason: Busy(),
        limits=limits or batching_limits(),
        clock=clock,
    )
