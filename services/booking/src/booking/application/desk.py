"""Where requests for tickets arrive: any number at a time, an answer for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from booking.application.lanes import Lanes
from booking.application.order import Order
from booking.application.place_bookings import Answered, Asked, answer_requests, place_bookings
from booking.application.place_orders import BoxOffice, Outcome


class Desk(Protocol):
    """Answers requests for tickets."""

    async def ask(self, asked: Sequence[Asked], deadline: float) -> list[Answered]:
        """Decide the requests, those for one event in their order; one that fails fails no other.

        Nobody waits for an answer past `deadline`, a time of the event loop's clock
        in seconds.
        """
        ...


@dataclass(frozen=True)
class OneByOne:
    """A transaction for each request: simple, and the yardstick for everything faster."""

    office: BoxOffice

    async def ask(self, asked: Sequence[Asked], deadline: float) -> list[Answered]:
        """See the port. The caller's own timeout keeps the deadline."""
        return [await self._ask(one) for one in asked]

    async def _ask(self, asked: Asked) -> Answered:
        event_id, request = asked
        try:
            [outcome] = await place_bookings(event_id, [request], self.office)
        except Exception as error:  # noqa: BLE001 - told to the one it concerns
            return error
        return outcome


@dataclass(frozen=True)
class GroupCommit:
    """A transaction for whatever has queued since the last ones began."""

    office: BoxOffice
    lanes: Lanes[Order, Outcome]

    async def ask(self, asked: Sequence[Asked], deadline: float) -> list[Answered]:
        """See the port. Orders are made ready while the batches before them commit."""
        decide = partial(self.lanes.ask, deadline=deadline)
        return await answer_requests(asked, self.office, decide)
