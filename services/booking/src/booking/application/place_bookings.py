"""Book tickets: many requests for one event, one transaction."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from booking.application.ports import Answer, Bookings, Clock, KeyTaken, NewId, RequestKey
from booking.application.provision_event import ProvisionEvent
from booking.application.running_keys import RunningKeys
from booking.domain.booking import Booking, BookingConfirmed, BookingHeld, IssueTicket
from booking.domain.errors import (
    Busy,
    DomainError,
    EventNotFound,
    IdempotencyKeyReused,
    RequestInProgress,
    UnknownTicketType,
)
from booking.domain.event import Event
from booking.domain.placing import BookingRequest, place
from booking.domain.stock import EventStock


@dataclass(frozen=True, slots=True)
class Placed:
    """A granted request; `replayed` when an earlier one with the same key had made the booking."""

    booking: Booking
    event: Event
    replayed: bool = False


Outcome = Placed | DomainError


@dataclass(frozen=True)
class BoxOffice:
    """What booking tickets takes."""

    bookings: Bookings
    provision: ProvisionEvent
    running: RunningKeys
    issue: IssueTicket
    new_id: NewId
    now: Clock
    hold_for: timedelta


async def place_bookings(
    event_id: UUID, requests: Sequence[BookingRequest], office: BoxOffice
) -> list[Outcome]:
    """Decide the requests in their order; return an outcome for each.

    A refused request changes nothing and stands in nobody's way. What the event's
    projection lacks is asked of the catalog, once, outside of any transaction.

    Raises:
        CatalogUnavailable: the event is not known here and the catalog is down.
    """
    outcomes: dict[int, Outcome] = {}
    for index, request in enumerate(requests):
        try:
            request.must_be_well_formed()
        except DomainError as refusal:
            outcomes[index] = refusal

    async def attempt(indexes: list[int]) -> None:
        if indexes:
            results = await _decide_all(event_id, [requests[index] for index in indexes], office)
            outcomes.update(zip(indexes, results, strict=True))

    await attempt([index for index in range(len(requests)) if index not in outcomes])
    missed = [
        index
        for index, outcome in outcomes.items()
        if isinstance(outcome, EventNotFound | UnknownTicketType)
    ]
    if missed and await office.provision(event_id):
        await attempt(sorted(missed))
    return [outcomes[index] for index in range(len(requests))]


async def _decide_all(
    event_id: UUID, requests: Sequence[BookingRequest], office: BoxOffice
) -> Sequence[Outcome]:
    """Commit the batch; when one of its keys is stuck elsewhere, each request on its own."""
    try:
        return await _decide_together(event_id, requests, office)
    except RequestInProgress as refusal:
        if len(requests) == 1:
            return [refusal]
    return [
        outcome
        for request in requests
        for outcome in await _decide_all(event_id, [request], office)
    ]


async def _decide_together(
    event_id: UUID, requests: Sequence[BookingRequest], office: BoxOffice
) -> Sequence[Outcome]:
    """Commit the batch, again when a key turns out to be taken by another event's commit."""
    with office.running.run(_keys(requests)) as running_elsewhere:
        try:
            try:
                return await _commit(event_id, requests, office)
            except KeyTaken:
                return await _commit(event_id, requests, office)
        except Busy:
            return [
                RequestInProgress() if running_elsewhere(_key(request)) else Busy()
                for request in requests
            ]


async def _commit(
    event_id: UUID, requests: Sequence[BookingRequest], office: BoxOffice
) -> Sequence[Outcome]:
    async with office.bookings.transaction() as transaction:
        stock = await transaction.lock_stock(event_id, _wanted_types(requests))
        if stock is None:
            return [EventNotFound() for _ in requests]
        # The rows are locked: a retry of a request that is being answered by another
        # replica has waited for that commit and finds its answer here.
        answers = await transaction.find_answers(event_id, _keys(requests))
        batch = _Batch(office, stock, answers)
        outcomes = [batch.decide(request) for request in requests]
        if batch.placed:
            await transaction.add(batch.placed, batch.fingerprints, stock)
    return outcomes


class _Batch:
    """The requests of one transaction, decided one after the other."""

    def __init__(
        self, office: BoxOffice, stock: EventStock, answers: dict[RequestKey, Answer]
    ) -> None:
        self.placed: list[BookingHeld | BookingConfirmed] = []
        self.fingerprints: dict[UUID, tuple[str, bytes]] = {}
        self._office = office
        self._now = office.now()
        self._stock = stock
        self._answers = answers

    def decide(self, request: BookingRequest) -> Outcome:
        """Answer one request; only a granted one leaves traces."""
        try:
            return self._answered_before(request) or self._place(request)
        except DomainError as refusal:
            return refusal

    def _answered_before(self, request: BookingRequest) -> Placed | None:
        key = _key(request)
        answer = self._answers.get(key) if key else None
        if answer is None:
            return None
        if answer.booking is None or answer.fingerprint != self._fingerprint(request):
            raise IdempotencyKeyReused
        return Placed(answer.booking, self._stock.event, replayed=True)

    def _place(self, request: BookingRequest) -> Placed:
        office = self._office
        placed = place(
            request,
            self._stock,
            booking_id=office.new_id(),
            now=self._now,
            hold_for=office.hold_for,
            issue=office.issue,
        )
        self.placed.append(placed)
        if request.key is not None:
            fingerprint = self._fingerprint(request)
            self.fingerprints[placed.booking.id] = (request.key, fingerprint)
            # A retry further down the same batch shares this answer.
            self._answers[request.buyer.user_id, request.key] = Answer(fingerprint, placed.booking)
        return Placed(placed.booking, self._stock.event)

    def _fingerprint(self, request: BookingRequest) -> bytes:
        return fingerprint(self._stock.event.id, request)


def fingerprint(event_id: UUID, request: BookingRequest) -> bytes:
    """Digest what a request asks for; the order and splitting of its lines do not matter."""
    merged: dict[str, int] = {}
    for line in request.lines:
        name = str(line.ticket_type_id or "")
        merged[name] = merged.get(name, 0) + line.quantity
    canonical = json.dumps([str(event_id), sorted(merged.items()), request.hold])
    return hashlib.sha256(canonical.encode()).digest()


def _key(request: BookingRequest) -> RequestKey | None:
    return (request.buyer.user_id, request.key) if request.key is not None else None


def _keys(requests: Sequence[BookingRequest]) -> set[RequestKey]:
    return {key for request in requests if (key := _key(request))}


def _wanted_types(requests: Sequence[BookingRequest]) -> set[UUID] | None:
    """Return the ticket types to lock; None, all, when some line leaves its type open."""
    wanted = {line.ticket_type_id for request in requests for line in request.lines}
    named = {type_id for type_id in wanted if type_id is not None}
    return named if len(named) == len(wanted) else None
