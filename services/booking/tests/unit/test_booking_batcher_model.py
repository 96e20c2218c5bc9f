"""The models of batched requests, run over booking's use of batching."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from booking.adapters.batched_submitter import batching_limits, open_batcher
from booking.domain.errors import Busy
from goticket_platform.batching import Batcher, BatchingLimits
from goticket_testing.batching.interleavings import ACTIONS, Action, check_interleaving
from goticket_testing.batching.sequential import SequentialModel
from goticket_testing.batching.subject import Commit, ModelRequest, TransientError, Use
from hypothesis import given, settings
from hypothesis import strategies as st


@dataclass
class BookingSubject:
    """Booking's batcher."""

    batcher: Batcher[UUID, ModelRequest, str]

    @property
    def waiting(self) -> int:
        return self.batcher.waiting

    @property
    def queues(self) -> int:
        return len(self.batcher)

    async def submit(
        self, requests: Sequence[ModelRequest], deadline: float
    ) -> list[str | Exception]:
        return await self.batcher.submit_many(requests, deadline)

    async def close(self) -> None:
        await self.batcher.close(0)


def open_subject(
    commit: Commit, limits: BatchingLimits, clock: Callable[[], float]
) -> BookingSubject:
    batcher: Batcher[UUID, ModelRequest, str] = open_batcher(
        commit,
        is_transient=lambda error: isinstance(error, TransientError),
        limits=limits,
        retry_delays=(0, 0),
        clock=clock,
    )
    return BookingSubject(batcher)


USES = [
    Use(limits, open_subject, rejections=(Busy,), retries=True)
    for limits in (
        batching_limits(
            max_batch_size=3,
            max_waiting_per_event=6,
            max_waiting=9,
            max_in_flight=1,
            solo_threshold=2,
        ),
        batching_limits(
            max_batch_size=4,
            max_waiting_per_event=6,
            max_waiting=14,
            max_in_flight=2,
            solo_threshold=3,
        ),
        batching_limits(
            max_batch_size=8,
            max_waiting_per_event=8,
            max_waiting=20,
            max_in_flight=3,
            solo_threshold=8,
        ),
    )
]


class BookingModel(SequentialModel):
    uses = USES


BookingModel.TestCase.settings = settings(max_examples=150, deadline=None)
TestBookingModel = BookingModel.TestCase


@given(ACTIONS, st.sampled_from(USES))
@settings(deadline=None, max_examples=200)
def test_any_interleaving_answers_every_request_once_and_in_order(
    actions: list[Action], use: Use
) -> None:
    check_interleaving(actions, use)
