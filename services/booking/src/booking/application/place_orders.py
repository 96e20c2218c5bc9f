"""Sell tickets: many orders, for any events, one transaction."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from booking.application.order import Order
from booking.application.ports import (
    Answer,
    BuyerOfEvent,
    Clock,
    KeyTaken,
    NewId,
    OpenSale,
    RequestKey,
    Sale,
    Sales,
)
from booking.application.provision_event import ProvisionEvent
from booking.application.refuse_at_a_glance import Refusals, refuse_at_a_glance
from booking.application.running_keys import RunningKeys
from booking.application.sold_out_events import SoldOutEvents
from booking.domain.booking import Booking, IssueTicket
from booking.domain.errors import (
    Busy,
    DomainError,
    EventNotFound,
    IdempotencyKeyReused,
    RequestInProgress,
    SoldOut,
)
from booking.domain.event import Event
from booking.domain.limits import Taken
from booking.domain.placing import place
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

    bookings: Sales
    provision: ProvisionEvent
    running: RunningKeys
    issue: IssueTicket
    new_id: NewId
    now: Clock
    hold_for: timedelta
    max_holds: int = 0
    """Most holds of one buyer per event at a time; 0 means no limit."""
    sold_out: SoldOutEvents = field(default_factory=SoldOutEvents)


async def place_orders(orders: Sequence[Order], office: BoxOffice) -> Sequence[Outcome | None]:
    """Decide the orders in their order; return an outcome for each.

    A refused order changes nothing and stands in nobody's way. Nor does an event that
    another transaction is working on, or one whose keys are stuck there: when there are
    several events, the orders for it are not decided, which is None, and have to come
    again without the others.
    """
    likely = [order for order in orders if order.event_id not in office.sold_out]
    refusals: Refusals = {}
    if len(likely) < len(orders):
        late = [order for order in orders if order.event_id in office.sold_out]
        refusals = await refuse_at_a_glance(late, office.bookings, office.now())
        likely = [order for order in orders if order.booking_id not in refusals]
    decided = iter(await _decide_all(likely, office) if likely else ())
    outcomes = [refusals.get(order.booking_id) or next(decided) for order in orders]
    office.sold_out.note(
        (order.event_id for order in orders), (_came_too_late(outcome) for outcome in outcomes)
    )
    return outcomes


def _came_too_late(outcome: Outcome | None) -> bool | None:
    if isinstance(outcome, Placed):
        return None if outcome.replayed else False
    return True if isinstance(outcome, SoldOut) else None


async def _decide_all(orders: Sequence[Order], office: BoxOffice) -> Sequence[Outcome | None]:
    """Commit the batch; when one of its keys is stuck elsewhere, take it apart."""
    try:
        return await _decide(orders, office)
    except RequestInProgress as refusal:
        if len(orders) == 1:
            return [refusal]
    if len({order.event_id for order in orders}) > 1:
        return [None] * len(orders)
    # Whose key it is turns out when each is on its own.
    return [outcome for order in orders for outcome in await _decide_all([order], office)]


async def _decide(orders: Sequence[Order], office: BoxOffice) -> Sequence[Outcome | None]:
    """Commit the batch, again when a key turns out to be taken by another event's commit."""
    with office.running.run(_keys(orders)) as running_elsewhere:
        try:
            try:
                return await _commit(orders, office)
            except KeyTaken:
                return await _commit(orders, office)
        except Busy:
            return [
                RequestInProgress() if running_elsewhere(order.key) else Busy() for order in orders
            ]


async def _commit(orders: Sequence[Order], office: BoxOffice) -> Sequence[Outcome | None]:
    async with office.bookings.transaction() as transaction:
        # The rows are locked first: a retry of a request that is being answered by
        # another replica waits for that commit and finds its answer here.
        sale = await transaction.open_sale(_wanted_types(orders), _keys(orders))
        tried = [(order.event_id, order.booking_id) for order in orders if order.tried]
        made = await transaction.find_bookings(tried) if tried else {}
        limited = {event_id for event_id, stock in sale.stocks.items() if stock.is_limited}
        buyers = {
            order.buyer
            for order in orders
            if order.event_id in limited or (order.request.hold and office.max_holds)
        }
        taken = await transaction.find_taken(buyers) if buyers else None
        batch = _Batch(office, sale, made, taken)
        outcomes = [batch.decide(order) for order in orders]
        if batch.sales:
            await transaction.add(batch.sales, sale.stocks.values())
    return outcomes


class _Batch:
    """The orders of one transaction, decided one after the other.

    `made` are bookings that an earlier try has committed though its answer was lost.
    """

    def __init__(
        self,
        office: BoxOffice,
        sale: OpenSale,
        made: Mapping[UUID, Booking],
        taken: defaultdict[BuyerOfEvent, Taken] | None,
    ) -> None:
        self.sales: list[Sale] = []
        self._office = office
        self._now = office.now()
        self._sale = sale
        self._made = made
        self._taken = taken

    def decide(self, order: Order) -> Outcome | None:
        """Answer one order; only a granted one leaves traces."""
        stock = self._sale.stocks.get(order.event_id)
        if stock is None:
            return None if order.event_id in self._sale.contended else EventNotFound()
        try:
            return self._answered_before(order, stock) or self._place(order, stock)
        except DomainError as refusal:
            return refusal

    def _answered_before(self, order: Order, stock: EventStock) -> Placed | None:
        if made := self._made.get(order.booking_id):
            return Placed(made, stock.event)
        answer = self._sale.answers.get(order.key) if order.key else None
        if answer is None:
            return None
        # The fingerprint tells the event, too.
        if answer.booking is None or answer.fingerprint != order.fingerprint:
            raise IdempotencyKeyReused
        return Placed(answer.booking, stock.event, replayed=True)

    def _place(self, order: Order, stock: EventStock) -> Placed:
        office, request = self._office, order.request
        placed = place(
            request,
            stock,
            booking_id=order.booking_id,
            now=self._now,
            hold_for=office.hold_for,
            issue=order.issuing(office.issue),
            taken=None if self._taken is None else self._taken[order.buyer],
            max_holds=office.max_holds,
        )
        order.tried = True
        self.sales.append(Sale(placed, request.key, order.fingerprint, request.trace))
        if order.key is not None:
            # A retry further down the same batch shares this answer.
            self._sale.answers[order.key] = Answer(order.fingerprint, placed.booking)
        return Placed(placed.booking, stock.event)


def _keys(orders: Sequence[Order]) -> set[RequestKey]:
    return {key for order in orders if (key := order.key)}


def _wanted_types(orders: Sequence[Order]) -> dict[UUID, set[UUID] | None]:
    """Return the ticket types to lock; None, all, when some line leaves its type open.

    All of them for a hold, too: a buyer's holds are counted over all types.
    """
    wanted: dict[UUID, set[UUID] | None] = {}
    for order in orders:
        types = wanted.setdefault(order.event_id, set())
        for line in order.request.lines:
            if types is not None and line.ticket_type_id and not order.request.hold:
                types.add(line.ticket_type_id)
            else:
                types = wanted[order.event_id] = None
    return wanted
