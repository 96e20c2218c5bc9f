"""Book tickets: many requests for one event, one transaction."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from booking.application.order import Order, prepare
from booking.application.ports import (
    Answer,
    Bookings,
    Clock,
    KeyTaken,
    NewId,
    RequestKey,
    Sale,
    Transaction,
)
from booking.application.provision_event import ProvisionEvent
from booking.application.running_keys import RunningKeys
from booking.domain.booking import Booking, IssueTicket
from booking.domain.errors import (
    Busy,
    CatalogUnavailable,
    DomainError,
    EventNotFound,
    IdempotencyKeyReused,
    RequestInProgress,
    UnknownTicketType,
)
from booking.domain.event import Event
from booking.domain.limits import Taken
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
    max_holds: int = 0
    """Most holds of one buyer per event at a time; 0 means no limit."""


async def place_bookings(
    event_id: UUID, requests: Sequence[BookingRequest], office: BoxOffice
) -> list[Outcome]:
    """Decide the requests in their order; return an outcome for each.

    A refused request changes nothing and stands in nobody's way.
    """
    outcomes: list[Outcome | None] = []
    orders = []
    for request in requests:
        try:
            orders.append(prepare(event_id, request, new_id=office.new_id, issue=office.issue))
            outcomes.append(None)
        except DomainError as refusal:
            outcomes.append(refusal)
    decided = iter(await place_orders(event_id, orders, office))
    return [outcome if outcome is not None else next(decided) for outcome in outcomes]


async def place_orders(event_id: UUID, orders: Sequence[Order], office: BoxOffice) -> list[Outcome]:
    """Decide the orders in their order; return an outcome for each.

    What the event's projection lacks is asked of the catalog, once, outside of any
    transaction; the catalog being down is an outcome of those who need it, not of
    their neighbours.
    """
    if not orders:
        return []
    outcomes = list(await _decide_all(event_id, orders, office))
    missed = [
        index
        for index, outcome in enumerate(outcomes)
        if isinstance(outcome, EventNotFound | UnknownTicketType)
    ]
    if not missed:
        return outcomes
    try:
        if not await office.provision(event_id):
            return outcomes
        again = await _decide_all(event_id, [orders[index] for index in missed], office)
    except CatalogUnavailable as down:
        again = [down for _ in missed]
    for index, outcome in zip(missed, again, strict=True):
        outcomes[index] = outcome
    return outcomes


async def _decide_all(
    event_id: UUID, orders: Sequence[Order], office: BoxOffice
) -> Sequence[Outcome]:
    """Commit the batch; when one of its keys is stuck elsewhere, each order on its own."""
    try:
        return await _decide_together(event_id, orders, office)
    except RequestInProgress as refusal:
        if len(orders) == 1:
            return [refusal]
    return [outcome for order in orders for outcome in await _decide_all(event_id, [order], office)]


async def _decide_together(
    event_id: UUID, orders: Sequence[Order], office: BoxOffice
) -> Sequence[Outcome]:
    """Commit the batch, again when a key turns out to be taken by another event's commit."""
    with office.running.run(_keys(orders)) as running_elsewhere:
        try:
            try:
                return await _commit(event_id, orders, office)
            except KeyTaken:
                return await _commit(event_id, orders, office)
        except Busy:
            return [
                RequestInProgress() if running_elsewhere(order.key) else Busy() for order in orders
            ]


async def _commit(event_id: UUID, orders: Sequence[Order], office: BoxOffice) -> Sequence[Outcome]:
    async with office.bookings.transaction() as transaction:
        # The rows are locked first: a retry of a request that is being answered by
        # another replica waits for that commit and finds its answer here.
        stock, answers = await transaction.open_sale(event_id, _wanted_types(orders), _keys(orders))
        if stock is None:
            return [EventNotFound() for _ in orders]
        tried = [order.booking_id for order in orders if order.tried]
        made = await transaction.find_bookings(event_id, tried) if tried else {}
        taken = await _taken(transaction, orders, stock, office)
        batch = _Batch(office, stock, answers, made, taken)
        outcomes = [batch.decide(order) for order in orders]
        if batch.sales:
            await transaction.add(batch.sales, stock)
    return outcomes


class _Batch:
    """The orders of one transaction, decided one after the other.

    `made` are bookings that an earlier try has committed though its answer was lost.
    """

    def __init__(
        self,
        office: BoxOffice,
        stock: EventStock,
        answers: dict[RequestKey, Answer],
        made: Mapping[UUID, Booking],
        taken: defaultdict[UUID, Taken] | None,
    ) -> None:
        self.sales: list[Sale] = []
        self._office = office
        self._now = office.now()
        self._stock = stock
        self._answers = answers
        self._made = made
        self._taken = taken

    def decide(self, order: Order) -> Outcome:
        """Answer one order; only a granted one leaves traces."""
        try:
            return self._answered_before(order) or self._place(order)
        except DomainError as refusal:
            return refusal

    def _answered_before(self, order: Order) -> Placed | None:
        if made := self._made.get(order.booking_id):
            return Placed(made, self._stock.event)
        answer = self._answers.get(order.key) if order.key else None
        if answer is None:
            return None
        if answer.booking is None or answer.fingerprint != order.fingerprint:
            raise IdempotencyKeyReused
        return Placed(answer.booking, self._stock.event, replayed=True)

    def _place(self, order: Order) -> Placed:
        office, request = self._office, order.request
        placed = place(
            request,
            self._stock,
            booking_id=order.booking_id,
            now=self._now,
            hold_for=office.hold_for,
            issue=order.issuing(office.issue),
            taken=None if self._taken is None else self._taken[request.buyer.user_id],
            max_holds=office.max_holds,
        )
        order.tried = True
        self.sales.append(Sale(placed, request.key, order.fingerprint, request.trace))
        if order.key is not None:
            # A retry further down the same batch shares this answer.
            self._answers[order.key] = Answer(order.fingerprint, placed.booking)
        return Placed(placed.booking, self._stock.event)


async def _taken(
    transaction: Transaction, orders: Sequence[Order], stock: EventStock, office: BoxOffice
) -> defaultdict[UUID, Taken] | None:
    """Read what those have already whom some limit may stop; None when nothing is limited."""
    buyers = {
        order.request.buyer.user_id
        for order in orders
        if stock.is_limited or (order.request.hold and office.max_holds)
    }
    return await transaction.find_taken(stock.event.id, buyers) if buyers else None


def _keys(orders: Sequence[Order]) -> set[RequestKey]:
    return {key for order in orders if (key := order.key)}


def _wanted_types(orders: Sequence[Order]) -> set[UUID] | None:
    """Return the ticket types to lock; None, all, when some line leaves its type open.

    All of them for a hold, too: a buyer's holds are counted over all types.
    """
    if any(order.request.hold for order in orders):
        return None
    wanted = {line.ticket_type_id for order in orders for line in order.request.lines}
    named = {type_id for type_id in wanted if type_id is not None}
    return named if len(named) == len(wanted) else None
