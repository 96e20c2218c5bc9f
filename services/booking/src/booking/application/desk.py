"""Where requests for tickets arrive: any number at a time, an answer for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from booking.application.lanes import Lanes
from booking.application.order import Order, prepare
from booking.application.place_bookings import BoxOffice, Outcome, place_bookings
from booking.domain.errors import DomainError
from booking.domain.placing import BookingRequest

Answered = Outcome | Exception
"""Granted, refused by a DomainError, or failed by any other exception."""


class Desk(Protocol):
    """Answers requests for the tickets of one event."""

    async def ask(
        self, event_id: UUID, requests: Sequence[BookingRequest], deadline: float
    ) -> list[Answered]:
        """Decide the requests in their order; one that fails fails no other.

        Nobody waits for an answer past `deadline`, a time of the event loop's clock
        in seconds.
        """
        ...


@dataclass(frozen=True)
class OneByOne:
    """A transaction for each request: simple, and the yardstick for everything faster."""

    office: BoxOffice

    async def ask(
        self, event_id: UUID, requests: Sequence[BookingRequest], deadline: float
    ) -> list[Answered]:
        """See the port. The caller's own timeout keeps the deadline."""
        return [await self._ask(event_id, request) for request in requests]

    async def _ask(self, event_id: UUID, request: BookingRequest) -> Answered:
        try:
            [outcome] = await place_bookings(event_id, [request], self.office)
        except Exception as error:  # noqa: BLE001 - told to the one it concerns
            return error
        return outcome


@dataclass(frozen=True)
class GroupCommit:
    """A transaction for whatever has queued for an event since its last one began."""

    office: BoxOffice
    lanes: Lanes[Order, Outcome]

    async def ask(
        self, event_id: UUID, requests: Sequence[BookingRequest], deadline: float
    ) -> list[Answered]:
        """See the port. Orders are made ready while the batch before them commits."""
        refused: dict[int, Answered] = {}
        orders = []
        new_id, issue = self.office.new_id, self.office.issue
        for index, request in enumerate(requests):
            try:
                orders.append(prepare(event_id, request, new_id=new_id, issue=issue))
            except DomainError as refusal:
                refused[index] = refusal
        decided = iter(await self.lanes.ask(event_id, orders, deadline))
        return [refused.get(index) or next(decided) for index in range(len(requests))]
