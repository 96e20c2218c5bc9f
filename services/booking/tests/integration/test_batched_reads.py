"""Many reads in one call: each has the result of its own call."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from booking.application.commands.cancel_booking import cancel_booking
from booking.domain.errors import InvalidBooking
from booking.entrypoints.batches import batch_error
from booking.entrypoints.reads import (
    MAX_REQUESTS,
    batch_get_bookings,
    batch_get_tickets,
    batch_list_tickets,
    get_booking,
    get_ticket,
    list_tickets,
)
from goticket.booking.v1 import booking_pb2 as pb
from goticket.common.v1 import common_pb2
from goticket_kernel.errors import DomainError
from goticket_platform.cursors import encode_cursor
from goticket_platform.ids import new_id

if TYPE_CHECKING:
    from booking.domain.booking import Booking
    from goticket_kernel.actor import Actor

    from services.booking.tests.integration.conftest import BookingSystem

BUYER, OTHER_BUYER, STRANGER = 1, 2, 3


def actor(number: object, *roles: str) -> common_pb2.Actor:
    user_id = number if isinstance(number, str | UUID) else UUID(int=int(str(number)))
    return common_pb2.Actor(user_id=str(user_id), roles=roles)


@pytest.fixture
async def bookings(
    system: "BookingSystem", user: "Callable[..., Actor]", command: Callable[..., Any]
) -> "list[Booking]":
    """Bookings of two events: two of one buyer, the second cancelled, one of another, a hold."""
    first, second = await system.open_event(20), await system.open_event(20)
    created = [
        await system.book(first, command(3, buyer=user(BUYER))),
        await system.book(second, command(2, buyer=user(BUYER))),
        await system.book(second, command(1, buyer=user(OTHER_BUYER))),
        await system.book(first, command(1, buyer=user(OTHER_BUYER), hold=True)),
    ]
    await cancel_booking(
        created[1].id, user(BUYER), bookings=system.bookings, now=system.context.now
    )
    return created


async def outcome_alone(
    read: Callable[[Any, Any], Any], request: object, system: "BookingSystem"
) -> object:
    try:
        return await read(request, system.bookings)
    except DomainError as error:
        return batch_error(error)


def outcomes(results: Sequence[Any]) -> list[object]:
    return [getattr(result, str(result.WhichOneof("outcome"))) for result in results]


async def test_bookings_of_a_batch_equal_those_of_single_calls(
    system: "BookingSystem", bookings: "list[Booking]"
) -> None:
    organizers = [event.event.organizer_id for event in system.catalog.events.values()]
    readers = [
        actor(BUYER),
        actor(OTHER_BUYER),
        actor(STRANGER),
        actor(STRANGER, "admin"),
        *[actor(each, "organizer") for each in organizers],
        actor("not-an-id"),
        common_pb2.Actor(),
    ]
    ids = [*[str(each.id) for each in bookings], str(new_id()), "nonsense", str(bookings[0].id)]
    requests = [
        pb.GetBookingRequest(actor=reader, booking_id=booking_id)
        for booking_id in ids
        for reader in readers
    ]
    batched = outcomes((await batch_get_bookings(requests, system.bookings)).results)
    alone = [await outcome_alone(get_booking, request, system) for request in requests]
    assert batched == [getattr(each, "booking", each) for each in alone]
    reasons = {each.reason for each in batched if isinstance(each, pb.BatchError)}
    assert reasons == {"booking_not_found", "forbidden", "validation_failed"}
    assert sum(isinstance(each, pb.Booking) for each in batched) == 3 * 4 + 3


async def test_tickets_of_a_batch_equal_those_of_single_calls(
    system: "BookingSystem", bookings: "list[Booking]"
) -> None:
    readers = [actor(BUYER), actor(OTHER_BUYER), actor(STRANGER, "admin")]
    tickets = [str(ticket.id) for booking in bookings for ticket in booking.tickets]
    requests = [
        pb.GetTicketRequest(actor=reader, ticket_id=ticket_id)
        for ticket_id in [*tickets[::-1], str(new_id()), "nonsense", tickets[0]]
        for reader in readers
    ]
    batched = outcomes((await batch_get_tickets(requests, system.bookings)).results)
    alone = [await outcome_alone(get_ticket, request, system) for request in requests]
    assert batched == [getattr(each, "ticket", each) for each in alone]
    reasons = {each.reason for each in batched if isinstance(each, pb.BatchError)}
    assert reasons == {"ticket_not_found", "forbidden"}
    found = {each.id: each for each in batched if isinstance(each, pb.Ticket)}
    assert found.keys() == set(tickets)
    assert {each.code for each in found.values() if each.status == pb.TICKET_STATUS_VOID} == {""}
    printed = [each for each in batched if isinstance(each, pb.Ticket)]
    codes = {bool(each.code) for each in printed if each.status == pb.TICKET_STATUS_VALID}
    assert codes == {True, False}  # the buyer's tickets, and the admin's view of them


async def test_pages_of_a_batch_equal_those_of_single_calls(
    system: "BookingSystem", bookings: "list[Booking]"
) -> None:
    first = await list_tickets(pb.ListTicketsRequest(actor=actor(BUYER), limit=2), system.bookings)
    requests = [
        pb.ListTicketsRequest(actor=actor(BUYER), limit=2),
        pb.ListTicketsRequest(actor=actor(STRANGER)),
        pb.ListTicketsRequest(actor=actor(OTHER_BUYER)),
        pb.ListTicketsRequest(actor=actor(BUYER), limit=2, cursor=first.next_cursor),
        pb.ListTicketsRequest(actor=actor(BUYER), limit=101),
        pb.ListTicketsRequest(actor=actor(BUYER), cursor="bogus"),
        pb.ListTicketsRequest(actor=actor(BUYER), limit=5),
        pb.ListTicketsRequest(actor=actor(BUYER), cursor=encode_cursor(str(new_id()))),
        pb.ListTicketsRequest(actor=actor("not-an-id")),
    ]
    batched = outcomes((await batch_list_tickets(requests, system.bookings)).results)
    assert batched == [await outcome_alone(list_tickets, request, system) for request in requests]
    pages = [
        [ticket.id for ticket in each.tickets]
        for each in batched
        if isinstance(each, pb.ListTicketsResponse)
    ]
    own = [str(ticket.id) for ticket in (*bookings[0].tickets, *bookings[1].tickets)][::-1]
    others = [str(ticket.id) for ticket in bookings[2].tickets]
    assert pages == [own[:2], [], others, own[2:4], own, own]
    reasons = [each.reason for each in batched if isinstance(each, pb.BatchError)]
    assert reasons == ["validation_failed"] * 3


async def test_void_tickets_have_no_code_in_any_read(
    system: "BookingSystem", bookings: "list[Booking]", user: "Callable[..., Actor]"
) -> None:
    void = bookings[1].id
    stored = await system.bookings.find_booking(void)
    assert stored is not None
    again = await cancel_booking(
        void, user(BUYER), bookings=system.bookings, now=system.context.now
    )
    listed = await system.bookings.list_bookings(
        user_id=UUID(int=BUYER), event_id=None, status=None, before=None, limit=10
    )
    details = await system.bookings.find_details([(bookings[1].event_id, void)])
    found = [stored, again, *details, *[each for each in listed if each.booking.id == void]]
    assert len(found) == 4
    assert {ticket.code for each in found for ticket in each.booking.tickets} == {""}


async def test_a_batch_has_a_limit_and_may_be_empty(system: "BookingSystem") -> None:
    too_many = MAX_REQUESTS + 1
    with pytest.raises(InvalidBooking):
        await batch_get_bookings([pb.GetBookingRequest()] * too_many, system.bookings)
    with pytest.raises(InvalidBooking):
        await batch_get_tickets([pb.GetTicketRequest()] * too_many, system.bookings)
    with pytest.raises(InvalidBooking):
        await batch_list_tickets([pb.ListTicketsRequest()] * too_many, system.bookings)
    assert not (await batch_get_bookings([], system.bookings)).results
    assert not (await batch_get_tickets([], system.bookings)).results
    assert not (await batch_list_tickets([], system.bookings)).results
