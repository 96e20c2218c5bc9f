"""Book tickets: from requests to answers, whatever booking knows of their events so far."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import cast
from uuid import UUID

from booking.application.order import Order, prepare
from booking.application.place_orders import BoxOffice, Outcome, place_orders
from booking.application.provision_event import ProvisionEvent
from booking.domain.errors import DomainError, EventNotFound, UnknownTicketType
from booking.domain.placing import BookingRequest

Asked = tuple[UUID, BookingRequest]
"""An event's id and what a buyer asks for of it."""
Answered = Outcome | Exception
"""Granted, refused by a DomainError, or failed by any other exception."""
Decide = Callable[[Sequence[Order]], Awaitable[Sequence[Answered]]]
"""Decides orders, those of one event in their order, with an answer for each."""


async def place_bookings(
    event_id: UUID, requests: Sequence[BookingRequest], office: BoxOffice
) -> list[Outcome]:
    """Decide requests for one event in their order, in one transaction of its own."""
    asked = [(event_id, request) for request in requests]
    # An event on its own is always decided, and what fails is raised.
    decide = cast("Decide", partial(place_orders, office=office))
    answers = await answer_requests(asked, office, decide)
    for answer in answers:
        if isinstance(answer, Exception) and not isinstance(answer, DomainError):
            raise answer
    return cast("list[Outcome]", answers)


async def answer_requests(
    asked: Sequence[Asked], office: BoxOffice, decide: Decide
) -> list[Answered]:
    """Make requests ready and have them decided; return an answer for each.

    What is not known of an event is asked of the catalog, once, outside of any
    transaction; the catalog being down is an answer to those who need it, not to their
    neighbours.
    """
    answers: list[Answered | None] = []
    orders: list[Order] = []
    for event_id, request in asked:
        try:
            order = prepare(
                event_id,
                request,
                new_id=office.new_id,
                issue=office.issue,
                likely=event_id not in office.sold_out,
            )
        except DomainError as refusal:
            answers.append(refusal)
        else:
            answers.append(None)
            orders.append(order)
    decided = iter(await _decide_informed(orders, office.provision, decide))
    return [next(decided) if answer is None else answer for answer in answers]


async def _decide_informed(
    orders: Sequence[Order], provision: ProvisionEvent, decide: Decide
) -> list[Answered]:
    """Decide the orders, again if the catalog knows more of their event."""
    if not orders:
        return []
    answers = list(await decide(orders))
    missed = [
        index
        for index, answer in enumerate(answers)
        if isinstance(answer, EventNotFound | UnknownTicketType)
    ]
    if not missed:
        return answers
    found = await _ask_catalog({orders[index].event_id for index in missed}, provision)
    again = []
    for index in missed:
        match found[orders[index].event_id]:
            case True:
                again.append(index)
            case Exception() as failure:
                answers[index] = failure
    if again:
        decided = await decide([orders[index] for index in again])
        for index, answer in zip(again, decided, strict=True):
            answers[index] = answer
    return answers


async def _ask_catalog(
    event_ids: Collection[UUID], provision: ProvisionEvent
) -> dict[UUID, bool | BaseException]:
    """Tell which of the events the catalog knows, or why it did not say."""
    told = await asyncio.gather(
        *(provision(event_id) for event_id in event_ids), return_exceptions=True
    )
    return dict(zip(event_ids, told, strict=True))
