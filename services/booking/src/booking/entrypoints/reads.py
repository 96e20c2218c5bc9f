"""Reads of bookings and tickets over gRPC. A single call is a batch of one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar
from uuid import UUID

from goticket.booking.v1 import booking_pb2 as pb
from goticket_kernel.actor import Actor
from goticket_kernel.errors import DomainError

from booking.application.ports import (
    BookingOfEvent,
    BookingQueries,
    TicketOfBooking,
    TicketPageQuery,
)
from booking.application.queries.get_bookings import get_bookings
from booking.application.queries.get_tickets import get_tickets
from booking.domain.errors import BookingNotFound, TicketNotFound
from booking.domain.event import Event
from booking.entrypoints.batches import batch_error, execute_each, require_at_most
from booking.entrypoints.requests import actor_of, before_of, id_of, limit_of, page_of
from booking.wire import event_snapshot, write_booking, write_ticket

MAX_REQUESTS = 200

ResultT = TypeVar("ResultT")
MessageT = TypeVar("MessageT", pb.GetBookingResult, pb.GetTicketResult, pb.ListTicketsResult)
TicketPage = tuple[Sequence[TicketOfBooking], str]
"""The tickets of a page, and the cursor of the next one."""


async def get_booking(
    request: pb.GetBookingRequest, queries: BookingQueries
) -> pb.GetBookingResponse:
    """Read one booking.

    Raises:
        DomainError: the request is refused.
    """
    response = pb.GetBookingResponse()
    found = _unwrap(await _bookings([request], queries))
    write_booking(found.booking, event_snapshot(found.event), response.booking)
    return response


async def batch_get_bookings(
    requests: Sequence[pb.GetBookingRequest], queries: BookingQueries
) -> pb.BatchGetBookingsResponse:
    """Read bookings.

    Raises:
        InvalidBooking: more than MAX_REQUESTS requests.
    """
    require_at_most(MAX_REQUESTS, requests)
    response, snapshot_of = pb.BatchGetBookingsResponse(), _snapshots()
    for found, result in _with_results(await _bookings(requests, queries), response.results.add):
        write_booking(found.booking, snapshot_of(found.event), result.booking)
    return response


async def get_ticket(request: pb.GetTicketRequest, queries: BookingQueries) -> pb.GetTicketResponse:
    """Read one ticket.

    Raises:
        DomainError: the request is refused.
    """
    response = pb.GetTicketResponse()
    found = _unwrap(await _tickets([request], queries))
    write_ticket(found, event_snapshot(found.event), response.ticket)
    return response


async def batch_get_tickets(
    requests: Sequence[pb.GetTicketRequest], queries: BookingQueries
) -> pb.BatchGetTicketsResponse:
    """Read tickets.

    Raises:
        InvalidBooking: more than MAX_REQUESTS requests.
    """
    require_at_most(MAX_REQUESTS, requests)
    response, snapshot_of = pb.BatchGetTicketsResponse(), _snapshots()
    for found, result in _with_results(await _tickets(requests, queries), response.results.add):
        write_ticket(found, snapshot_of(found.event), result.ticket)
    return response


async def list_tickets(
    request: pb.ListTicketsRequest, queries: BookingQueries
) -> pb.ListTicketsResponse:
    """List the actor's tickets page by page.

    Raises:
        DomainError: the request is refused.
    """
    response = pb.ListTicketsResponse()
    _write_page(_unwrap(await _pages([request], queries)), _snapshots(), response)
    return response


async def batch_list_tickets(
    requests: Sequence[pb.ListTicketsRequest], queries: BookingQueries
) -> pb.BatchListTicketsResponse:
    """List the tickets of several actors page by page.

    Raises:
        InvalidBooking: more than MAX_REQUESTS requests.
    """
    require_at_most(MAX_REQUESTS, requests)
    response, snapshot_of = pb.BatchListTicketsResponse(), _snapshots()
    for found, result in _with_results(await _pages(requests, queries), response.results.add):
        result.page.SetInParent()  # a page without tickets is a page too
        _write_page(found, snapshot_of, result.page)
    return response


async def _bookings(
    requests: Sequence[pb.GetBookingRequest], queries: BookingQueries
) -> list[BookingOfEvent | DomainError]:
    return await execute_each(requests, _booking_wanted, partial(get_bookings, queries=queries))


async def _tickets(
    requests: Sequence[pb.GetTicketRequest], queries: BookingQueries
) -> list[TicketOfBooking | DomainError]:
    return await execute_each(requests, _ticket_wanted, partial(get_tickets, queries=queries))


async def _pages(
    requests: Sequence[pb.ListTicketsRequest], queries: BookingQueries
) -> list[TicketPage | DomainError]:
    async def read(wanted: Sequence[TicketPageQuery]) -> list[TicketPage]:
        found = await queries.list_tickets(
            [replace(query, limit=query.limit + 1) for query in wanted]
        )
        return [
            page_of(tickets, query.limit, lambda each: each.ticket.id)
            for tickets, query in zip(found, wanted, strict=True)
        ]

    return await execute_each(requests, _page_wanted, read)


def _booking_wanted(request: pb.GetBookingRequest) -> tuple[UUID, Actor]:
    return id_of(request.booking_id, BookingNotFound), actor_of(request.actor)


def _ticket_wanted(request: pb.GetTicketRequest) -> tuple[UUID, Actor]:
    return id_of(request.ticket_id, TicketNotFound), actor_of(request.actor)


def _page_wanted(request: pb.ListTicketsRequest) -> TicketPageQuery:
    limit = limit_of(request.limit)
    buyer = actor_of(request.actor).user_id
    return TicketPageQuery(buyer, before_of(request.cursor), limit)


def _write_page(
    page: TicketPage,
    snapshot_of: Callable[[Event], pb.EventSnapshot],
    message: pb.ListTicketsResponse,
) -> None:
    tickets, message.next_cursor = page
    for found in tickets:
        write_ticket(found, snapshot_of(found.event), message.tickets.add())


def _with_results(
    found: Sequence[ResultT | DomainError], add: Callable[[], MessageT]
) -> Iterator[tuple[ResultT, MessageT]]:
    """Add a message to the response for each result; yield those that have no error."""
    for each in found:
        result = add()
        if isinstance(each, DomainError):
            result.error.CopyFrom(batch_error(each))
        else:
            yield each, result


def _unwrap(results: Sequence[ResultT | DomainError]) -> ResultT:
    [result] = results
    if isinstance(result, DomainError):
        raise result
    return result


def _snapshots() -> Callable[[Event], pb.EventSnapshot]:
    """Return `event_snapshot` with a memory: the rows of a statement share events."""
    known: dict[UUID, pb.EventSnapshot] = {}

    def snapshot_of(event: Event) -> pb.EventSnapshot:
        snapshot = known.get(event.id)
        if snapshot is None:
            snapshot = known[event.id] = event_snapshot(event)
        return snapshot

    return snapshot_of
