"""The booking server through a real gRPC channel, with Redis and a tiny real catalog server."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import grpc
import pytest
from booking.bootstrap import server
from booking.config import ServeSettings
from goticket.booking.v1 import booking_pb2 as pb
from goticket.booking.v1 import notification_data_pb2 as data_pb
from goticket.booking.v1.booking_pb2_grpc import BookingServiceStub
from goticket.booking.v1.notification_data_pb2_grpc import NotificationDataServiceStub
from goticket.catalog.v1 import catalog_pb2
from goticket.catalog.v1.catalog_pb2_grpc import (
    CatalogServiceServicer,
    add_CatalogServiceServicer_to_server,
)
from goticket.common.v1.common_pb2 import Actor
from goticket_contracts.redis_names import availability_key
from goticket_platform.ids import new_id
from goticket_platform.rpc.client import call, open_channel
from goticket_platform.rpc.errors import RemoteError, remote_error
from goticket_testing.databases import Postgres
from pydantic import SecretStr
from redis.asyncio import Redis

if TYPE_CHECKING:
    from goticket.booking.v1.booking_pb2_grpc import BookingServiceAsyncStub as Booking
    from goticket.booking.v1.notification_data_pb2_grpc import (
        NotificationDataServiceAsyncStub as Details,
    )

    from services.booking.tests.conftest import ReadTicketCode

BUYER = Actor(user_id=str(UUID(int=1)), email="b@example.com", name="B", roles=["user"])
STRANGER = Actor(user_id=str(UUID(int=2)), email="s@example.com", name="S", roles=["user"])
ORGANIZER = Actor(user_id=str(UUID(int=3)), email="o@example.com", name="O", roles=["organizer"])
ADMIN = Actor(user_id=str(UUID(int=4)), email="a@example.com", name="A", roles=["admin"])
RETIRED = bytes(32)
TOKEN = "shared-with-the-notification-service"

Method = Callable[..., Awaitable[object]]


class TinyCatalog(CatalogServiceServicer):
    """A catalog with the events the test puts in."""

    def __init__(self) -> None:
        self.events: dict[str, catalog_pb2.Event] = {}
        self.calls = 0

    async def BatchGetEvents(  # noqa: N802 - named by the proto
        self, request: catalog_pb2.BatchGetEventsRequest, context: object
    ) -> catalog_pb2.BatchGetEventsResponse:
        self.calls += 1
        found = [self.events[text] for text in request.event_ids if text in self.events]
        return catalog_pb2.BatchGetEventsResponse(events=found)

    def add(self, *capacities: int) -> catalog_pb2.Event:
        event = catalog_pb2.Event(
            id=str(new_id()),
            organizer_id=ORGANIZER.user_id,
            name="Metallica Live",
            location="Warsaw",
            timezone="Europe/Warsaw",
            currency="EUR",
            status=catalog_pb2.EVENT_STATUS_PUBLISHED,
            version=1,
            ticket_types=[
                catalog_pb2.TicketType(
                    id=str(new_id()), name=f"Type {n}", price=100, capacity=c, max_per_booking=10
                )
                for n, c in enumerate(capacities)
            ],
        )
        now = datetime.now(UTC)
        event.starts_at.FromDatetime(now + timedelta(days=1))
        event.ends_at.FromDatetime(now + timedelta(days=2))
        self.events[event.id] = event
        return event


@pytest.fixture
async def catalog_server() -> AsyncIterator[tuple[TinyCatalog, grpc.aio.Server, str]]:
    catalog = TinyCatalog()  # type: ignore[abstract]  # the one call that booking makes
    running = grpc.aio.server()
    add_CatalogServiceServicer_to_server(catalog, running)
    port = running.add_insecure_port("127.0.0.1:0")
    await running.start()
    yield catalog, running, f"127.0.0.1:{port}"
    await running.stop(None)


@pytest.fixture
def catalog(catalog_server: tuple[TinyCatalog, grpc.aio.Server, str]) -> TinyCatalog:
    return catalog_server[0]


@pytest.fixture
async def server_address(
    dsn: str,
    redis_url: str,
    catalog_server: tuple[TinyCatalog, grpc.aio.Server, str],
) -> AsyncIterator[str]:
    settings = ServeSettings(
        database_url=dsn,
        redis_url=redis_url,
        grpc_listen="127.0.0.1:0",
        catalog_target=catalog_server[2],
        ticket_key=bytes(range(32)),
        retired_ticket_keys=(RETIRED,),
        notification_token=SecretStr(TOKEN),
    )
    async with server(settings) as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture
async def booking(server_address: str) -> AsyncIterator["Booking"]:
    async with open_channel(server_address) as channel:
        yield BookingServiceStub(channel)


def create(
    event: catalog_pb2.Event, quantity: int = 1, **fields: object
) -> pb.CreateBookingRequest:
    return pb.CreateBookingRequest(
        actor=BUYER,
        event_id=event.id,
        lines=[pb.BookingLine(quantity=quantity)],
        **fields,  # type: ignore[arg-type]  # a shorthand of the test
    )


async def refusal(method: Method, request: object) -> RemoteError:
    with pytest.raises(RemoteError) as caught:
        await call(method, request)
    return caught.value


async def test_a_booking_right_after_creation_works_and_can_be_read_back(
    booking: "Booking", catalog: TinyCatalog
) -> None:
    event = catalog.add(5)
    response = await call(booking.CreateBooking, create(event, 2, idempotency_key="k"))
    created = response.booking
    assert (created.status, created.total, created.currency, created.version) == (
        pb.BOOKING_STATUS_CONFIRMED,
        200,
        "EUR",
        1,
    )
    assert (created.buyer_email, created.buyer_name) == ("b@example.com", "B")
    assert created.HasField("confirmed_at")
    assert not created.HasField("expires_at")
    assert [ticket.holder_name for ticket in created.tickets] == ["B", "B"]
    assert created.tickets[0].event.name == "Metallica Live"
    again = await call(booking.CreateBooking, create(event, 2, idempotency_key="k"))
    assert (again.booking, again.replayed) == (created, True)
    read = await call(booking.GetBooking, pb.GetBookingRequest(actor=BUYER, booking_id=created.id))
    assert read.booking == created
    ticket = await call(
        booking.GetTicket, pb.GetTicketRequest(actor=BUYER, ticket_id=created.tickets[1].id)
    )
    assert ticket.ticket == created.tickets[1]
    assert catalog.calls == 1


async def test_hold_confirm_and_cancel(booking: "Booking", catalog: TinyCatalog) -> None:
    event = catalog.add(2)
    held = (await call(booking.CreateBooking, create(event, 2, hold=True))).booking
    assert held.status == pb.BOOKING_STATUS_HELD
    assert held.HasField("expires_at")
    confirm = pb.ConfirmBookingRequest(actor=BUYER, booking_id=held.id)
    confirmed = (await call(booking.ConfirmBooking, confirm)).booking
    assert (confirmed.status, len(confirmed.tickets)) == (pb.BOOKING_STATUS_CONFIRMED, 2)
    assert (await call(booking.ConfirmBooking, confirm)).booking == confirmed
    cancel = pb.CancelBookingRequest(actor=BUYER, booking_id=held.id)
    cancelled = (await call(booking.CancelBooking, cancel)).booking
    assert cancelled.status == pb.BOOKING_STATUS_CANCELLED
    assert {ticket.status for ticket in cancelled.tickets} == {pb.TICKET_STATUS_VOID}
    assert (await call(booking.CancelBooking, cancel)).booking == cancelled
    assert (await refusal(booking.ConfirmBooking, confirm)).code == "booking_closed"
    await call(booking.CreateBooking, create(event, 2))


async def test_only_buyer_organizer_and_admins_read_and_change_a_booking(
    booking: "Booking", catalog: TinyCatalog
) -> None:
    event = catalog.add(5)
    created = (await call(booking.CreateBooking, create(event))).booking
    for actor, allowed in ((BUYER, True), (ORGANIZER, True), (ADMIN, True), (STRANGER, False)):
        requests: tuple[tuple[Method, object], ...] = (
            (booking.GetBooking, pb.GetBookingRequest(actor=actor, booking_id=created.id)),
            (booking.GetTicket, pb.GetTicketRequest(actor=actor, ticket_id=created.tickets[0].id)),
        )
        for method, request in requests:
            if allowed:
                await call(method, request)
            else:
                assert (await refusal(method, request)).code == "forbidden"
    reads = [
        pb.GetBookingRequest(actor=actor, booking_id=created.id) for actor in (STRANGER, BUYER)
    ]
    batch = pb.BatchGetBookingsRequest(requests=reads)
    forbidden, allowed_read = (await call(booking.BatchGetBookings, batch)).results
    assert (forbidden.error.reason, allowed_read.booking) == ("forbidden", created)
    tickets = [pb.GetTicketRequest(actor=BUYER, ticket_id=created.tickets[0].id)]
    ticket_batch = pb.BatchGetTicketsRequest(requests=tickets)
    [found] = (await call(booking.BatchGetTickets, ticket_batch)).results
    assert found.ticket == created.tickets[0]
    pages = pb.BatchListTicketsRequest(requests=[pb.ListTicketsRequest(actor=BUYER)])
    [listed] = (await call(booking.BatchListTickets, pages)).results
    assert list(listed.page.tickets) == list(created.tickets)
    changes: tuple[tuple[Method, object], ...] = (
        (booking.CancelBooking, pb.CancelBookingRequest(actor=STRANGER, booking_id=created.id)),
        (booking.ConfirmBooking, pb.ConfirmBookingRequest(actor=ORGANIZER, booking_id=created.id)),
    )
    for method, request in changes:
        error = await refusal(method, request)
        assert (error.status, error.code) == (grpc.StatusCode.PERMISSION_DENIED, "forbidden")


async def test_pages_contain_each_item_once(booking: "Booking", catalog: TinyCatalog) -> None:
    events = [catalog.add(50), catalog.add(50)]
    created = [
        (await call(booking.CreateBooking, create(events[n % 2], hold=n % 4 == 0))).booking.id
        for n in range(7)
    ]

    async def ids(**filters: object) -> list[str]:
        found: list[str] = []
        cursor = ""
        while True:
            request = pb.ListBookingsRequest(limit=2, cursor=cursor, **filters)  # type: ignore[arg-type]
            page = await call(booking.ListBookings, request)
            found += [item.id for item in page.bookings]
            cursor = page.next_cursor
            if not cursor:
                return found

    newest_first = created[::-1]
    assert await ids(actor=BUYER) == newest_first
    assert await ids(actor=ORGANIZER, event_id=events[0].id) == newest_first[::2]
    assert await ids(actor=BUYER, status=pb.BOOKING_STATUS_HELD) == [created[4], created[0]]
    for actor in (BUYER, STRANGER):
        foreign = pb.ListBookingsRequest(actor=actor, event_id=events[0].id)
        assert (await refusal(booking.ListBookings, foreign)).code == "forbidden"
    assert await ids(actor=ORGANIZER) == []
    tickets = await call(booking.ListTickets, pb.ListTicketsRequest(actor=BUYER, limit=3))
    assert len(tickets.tickets) == 3
    more = pb.ListTicketsRequest(actor=BUYER, limit=3, cursor=tickets.next_cursor)
    rest = await call(booking.ListTickets, more)
    assert len({ticket.id for ticket in (*tickets.tickets, *rest.tickets)}) == 5


async def test_the_last_page_has_no_cursor_even_if_it_is_full(
    booking: "Booking", catalog: TinyCatalog
) -> None:
    event = catalog.add(50)
    for _ in range(4):
        await call(booking.CreateBooking, create(event))

    async def cursors(limit: int) -> list[bool]:
        own = await call(booking.ListBookings, pb.ListBookingsRequest(actor=BUYER, limit=limit))
        request = pb.ListBookingsRequest(actor=ORGANIZER, event_id=event.id, limit=limit)
        sold = await call(booking.ListBookings, request)
        wanted = pb.ListTicketsRequest(actor=BUYER, limit=limit)
        tickets = await call(booking.ListTickets, wanted)
        batch = pb.BatchListTicketsRequest(requests=[wanted])
        [batched] = (await call(booking.BatchListTickets, batch)).results
        pages = (own, sold, tickets, batched.page)
        items = (own.bookings, sold.bookings, tickets.tickets, batched.page.tickets)
        assert [len(each) for each in items] == [min(limit, 4)] * 4
        return [bool(page.next_cursor) for page in pages]

    assert await cursors(limit=3) == [True] * 4
    assert await cursors(limit=4) == [False] * 4
    assert await cursors(limit=5) == [False] * 4


async def test_errors_have_status_code_and_fields(booking: "Booking", catalog: TinyCatalog) -> None:
    one, two = catalog.add(1), catalog.add(5, 5)
    other_type = two.ticket_types[0].id
    invalid = grpc.StatusCode.INVALID_ARGUMENT

    async def refused(*lines: pb.BookingLine, event: catalog_pb2.Event = one) -> tuple[object, ...]:
        request = pb.CreateBookingRequest(actor=BUYER, event_id=event.id, lines=lines)
        error = await refusal(booking.CreateBooking, request)
        return error.status, error.code, [field for field, _ in error.fields]

    line = pb.BookingLine
    assert await refused() == (invalid, "validation_failed", ["items"])
    assert await refused(line(quantity=0)) == (invalid, "validation_failed", ["quantity"])
    assert await refused(
        line(ticket_type_id=other_type, quantity=1), line(ticket_type_id=other_type, quantity=-1)
    ) == (invalid, "validation_failed", ["items[1].quantity"])
    assert await refused(line(quantity=10**9)) == (
        invalid,
        "max_per_booking_exceeded",
        ["quantity"],
    )
    assert await refused(line(ticket_type_id=other_type, quantity=1)) == (
        invalid,
        "unknown_ticket_type",
        ["items[0].ticketTypeId"],
    )
    assert await refused(line(ticket_type_id="nonsense", quantity=1)) == (
        invalid,
        "unknown_ticket_type",
        ["items[0].ticketTypeId"],
    )
    assert await refused(line(quantity=1), event=two) == (
        invalid,
        "validation_failed",
        ["items[0].ticketTypeId"],
    )
    assert await refused(*[line(quantity=1)] * 51) == (invalid, "validation_failed", ["items"])
    assert await refused(line(quantity=2)) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "sold_out",
        [],
    )
    for text in ("nonsense", str(new_id())):
        unknown = catalog_pb2.Event(id=text)
        assert await refused(line(quantity=1), event=unknown) == (
            grpc.StatusCode.NOT_FOUND,
            "event_not_found",
            [],
        )
        missing = pb.GetBookingRequest(actor=BUYER, booking_id=text)
        assert (await refusal(booking.GetBooking, missing)).code == "booking_not_found"
        no_ticket = pb.GetTicketRequest(actor=BUYER, ticket_id=text)
        assert (await refusal(booking.GetTicket, no_ticket)).code == "ticket_not_found"
    key = create(one, idempotency_key="no spaces")
    assert (await refusal(booking.CreateBooking, key)).fields[0][0] == "Idempotency-Key"
    for bad in (
        pb.ListBookingsRequest(actor=BUYER, limit=101),
        pb.ListBookingsRequest(actor=BUYER, cursor="bogus"),
        pb.ListBookingsRequest(),
    ):
        assert (await refusal(booking.ListBookings, bad)).code == "validation_failed"


async def test_an_unknown_event_while_the_catalog_is_down_is_unavailable(
    booking: "Booking", catalog_server: tuple[TinyCatalog, grpc.aio.Server, str]
) -> None:
    catalog, running, _ = catalog_server
    known, unknown = catalog.add(5), catalog.add(5)
    await call(booking.CreateBooking, create(known))
    await running.stop(None)
    error = await refusal(booking.CreateBooking, create(unknown))
    assert (error.status, error.code) == (grpc.StatusCode.UNAVAILABLE, "unavailable")
    await call(booking.CreateBooking, create(known))


async def test_a_call_past_its_deadline_creates_no_booking(
    booking: "Booking", catalog: TinyCatalog, dsn: str
) -> None:
    event = catalog.add(5)
    await call(booking.CreateBooking, create(event))
    connection = await asyncpg.connect(dsn)
    async with connection.transaction():
        await connection.execute("SELECT * FROM booking.inventory FOR UPDATE")
        with pytest.raises(RemoteError) as caught:
            await call(booking.CreateBooking, create(event), timeout=0.3)
        assert caught.value.status is grpc.StatusCode.DEADLINE_EXCEEDED
        async with asyncio.timeout(10):
            # Its transaction is ended and does not wait for the lock.
            while await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ):
                await asyncio.sleep(0.01)
    assert await connection.fetchval("SELECT count(*) FROM booking.bookings") == 1
    await connection.close()
    await call(booking.CreateBooking, create(event))


async def test_calls_fail_at_once_while_the_database_is_down_and_succeed_after_its_restart(
    booking: "Booking", catalog: TinyCatalog, postgres_server: Postgres
) -> None:
    event = catalog.add(50)
    await asyncio.gather(*(call(booking.CreateBooking, create(event)) for _ in range(10)))
    await asyncio.to_thread(postgres_server.stop)
    try:
        for _ in range(5):
            error = await refusal(booking.CreateBooking, create(event))
            assert (error.status, error.code) == (grpc.StatusCode.UNAVAILABLE, "unavailable")
    finally:
        await asyncio.to_thread(postgres_server.start)
    for _ in range(5):
        await call(booking.CreateBooking, create(event))


async def test_availability_is_returned_and_published(
    booking: "Booking", catalog: TinyCatalog, redis_url: str
) -> None:
    event, fresh = catalog.add(5, 7), catalog.add(3)
    first, second = (kind.id for kind in event.ticket_types)
    lines = [pb.BookingLine(ticket_type_id=second, quantity=2)]
    request = pb.CreateBookingRequest(actor=BUYER, event_id=event.id, lines=lines)
    await call(booking.CreateBooking, request)
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        stored = await redis.hgetall(availability_key(event.id))
        order = {"order": f"{first},{second}", "order_version": "1"}
        assert stored == {**order, first: "1:5", second: "2:5"}
        assert 0 < await redis.ttl(availability_key(event.id)) <= 60
        wanted = pb.GetAvailabilityRequest(event_ids=[event.id, fresh.id, str(new_id()), "x"])
        response = await call(booking.GetAvailability, wanted)
        assert {item.event_id: item.available for item in response.events} == {
            event.id: 10,
            fresh.id: 3,
        }
        assert await redis.exists(availability_key(fresh.id))


async def test_the_availability_of_a_draft_is_not_public(
    booking: "Booking", catalog: TinyCatalog, redis_url: str
) -> None:
    event = catalog.add(7)
    event.status = catalog_pb2.EVENT_STATUS_DRAFT
    request = pb.GetAvailabilityRequest(event_ids=[event.id])
    assert not (await call(booking.GetAvailability, request)).events
    async with Redis.from_url(redis_url) as redis:
        assert not await redis.exists(availability_key(event.id))


async def test_a_capacity_shrinks_down_to_the_taken_tickets(
    booking: "Booking", catalog: TinyCatalog
) -> None:
    event = catalog.add(5)
    await call(booking.CreateBooking, create(event, 3))

    def shrink(capacity: int) -> pb.ShrinkCapacityRequest:
        wanted = pb.TicketTypeCapacity(ticket_type_id=event.ticket_types[0].id, capacity=capacity)
        return pb.ShrinkCapacityRequest(event_id=event.id, ticket_types=[wanted])

    error = await refusal(booking.ShrinkCapacity, shrink(2))
    assert (error.status, error.code) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "capacity_below_taken",
    )
    assert error.metadata["taken"] == "3"
    await call(booking.ShrinkCapacity, shrink(3))
    assert (await refusal(booking.CreateBooking, create(event))).code == "sold_out"
    unknown = pb.ShrinkCapacityRequest(event_id=str(new_id()))
    await call(booking.ShrinkCapacity, unknown)


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


async def test_details_for_emails_need_the_token(
    server_address: str, booking: "Booking", catalog: TinyCatalog
) -> None:
    created = (await call(booking.CreateBooking, create(catalog.add(5)))).booking
    reference = data_pb.BookingReference(event_id=created.event_id, booking_id=created.id)
    request = data_pb.BatchGetBookingDetailsRequest(bookings=[reference])
    async with grpc.aio.insecure_channel(server_address) as channel:
        details: Details = NotificationDataServiceStub(channel)
        for metadata in ((), bearer("wrong" * 8), bearer(""), bearer(TOKEN) * 2):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await details.BatchGetBookingDetails(request, metadata=metadata)
            error = remote_error(caught.value)
            assert (error.status, error.code) == (grpc.StatusCode.PERMISSION_DENIED, "forbidden")
        response = await details.BatchGetBookingDetails(request, metadata=bearer(TOKEN))
    [found] = response.bookings
    assert found.booking == created
    assert found.event == created.tickets[0].event
    assert found.booking.tickets[0].code


async def test_details_for_emails_are_of_bookings_as_they_are_now(
    server_address: str, booking: "Booking", catalog: TinyCatalog
) -> None:
    events = [catalog.add(50), catalog.add(50)]
    created = [
        (await call(booking.CreateBooking, create(events[n % 2], 2))).booking for n in range(6)
    ]
    cancel = pb.CancelBookingRequest(actor=BUYER, booking_id=created[0].id)
    await call(booking.CancelBooking, cancel)
    references = [
        data_pb.BookingReference(event_id=each.event_id, booking_id=each.id) for each in created
    ]
    other_event = data_pb.BookingReference(event_id=events[1].id, booking_id=created[0].id)
    unknown = data_pb.BookingReference(event_id=events[0].id, booking_id=str(new_id()))
    invalid = data_pb.BookingReference(event_id="x", booking_id="y")
    async with grpc.aio.insecure_channel(server_address) as channel:
        details: Details = NotificationDataServiceStub(channel)
        request = data_pb.BatchGetBookingDetailsRequest(
            bookings=[*references, references[1], other_event, unknown, invalid]
        )
        response = await details.BatchGetBookingDetails(request, metadata=bearer(TOKEN))
        too_many = data_pb.BatchGetBookingDetailsRequest(bookings=[unknown] * 201)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await details.BatchGetBookingDetails(too_many, metadata=bearer(TOKEN))
    assert remote_error(caught.value).fields[0][0] == "bookings"
    found = {each.booking.id: each.booking for each in response.bookings}
    assert len(response.bookings) == 6
    assert found.keys() == {each.id for each in created}
    assert [found[each.id] for each in created[1:]] == created[1:]
    cancelled = found[created[0].id]
    assert cancelled.status == pb.BOOKING_STATUS_CANCELLED
    assert [(t.status, t.code) for t in cancelled.tickets] == [(pb.TICKET_STATUS_VOID, "")] * 2


async def test_the_buyers_of_an_event_are_read_page_by_page(
    server_address: str, booking: "Booking", catalog: TinyCatalog
) -> None:
    event, other = catalog.add(50), catalog.add(50)
    created = [(await call(booking.CreateBooking, create(event))).booking for _ in range(5)]
    await call(booking.CreateBooking, create(other))
    await call(booking.CreateBooking, create(event, hold=True))
    cancel = pb.CancelBookingRequest(actor=BUYER, booking_id=created[1].id)
    await call(booking.CancelBooking, cancel)
    confirmed = sorted(each.id for each in created if each is not created[1])

    async with grpc.aio.insecure_channel(server_address) as channel:
        details: Details = NotificationDataServiceStub(channel)

        async def page(
            after: str, limit: int, of: str = event.id
        ) -> data_pb.ListConfirmedBookingsResponse:
            request = data_pb.ListConfirmedBookingsRequest(
                event_id=of, after_booking_id=after, limit=limit
            )
            return await details.ListConfirmedBookings(request, metadata=bearer(TOKEN))

        first = await page("", 3)
        second = await page(first.bookings[-1].booking_id, 3)
        end = await page(confirmed[-1], 3)
        unknown = await page("", 3, str(new_id()))
        for arguments in (("", 0), ("", 1001), ("x", 1), ("", 1, "x")):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await page(*arguments)
            assert remote_error(caught.value).code == "validation_failed"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await details.ListConfirmedBookings(data_pb.ListConfirmedBookingsRequest())
        assert remote_error(caught.value).code == "forbidden"

    assert [each.booking_id for each in (*first.bookings, *second.bookings)] == confirmed
    assert {each.user_id for each in first.bookings} == {created[0].user_id}
    assert (len(end.bookings), end.event_version) == (0, first.event_version)
    assert first.event_version >= 1
    assert (len(unknown.bookings), unknown.event_version) == (0, 0)


async def test_the_bookings_of_a_buyer_are_the_confirmed_ones_of_the_event(
    server_address: str, booking: "Booking", catalog: TinyCatalog
) -> None:
    event, other = catalog.add(50), catalog.add(50)
    created = [(await call(booking.CreateBooking, create(event))).booking for _ in range(3)]
    await call(booking.CreateBooking, create(other))
    cancel = pb.CancelBookingRequest(actor=BUYER, booking_id=created[1].id)
    await call(booking.CancelBooking, cancel)
    buyer = data_pb.BuyerReference(event_id=event.id, user_id=created[0].user_id)
    stranger = data_pb.BuyerReference(event_id=event.id, user_id=str(new_id()))

    async with grpc.aio.insecure_channel(server_address) as channel:
        details: Details = NotificationDataServiceStub(channel)
        request = data_pb.BatchGetBuyerBookingsRequest(buyers=[buyer, stranger, buyer])
        response = await details.BatchGetBuyerBookings(request, metadata=bearer(TOKEN))
        too_many = data_pb.BatchGetBuyerBookingsRequest(buyers=[buyer] * 201)
        invalid = data_pb.BatchGetBuyerBookingsRequest(
            buyers=[data_pb.BuyerReference(event_id=event.id, user_id="x")]
        )
        for refused in (too_many, invalid):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await details.BatchGetBuyerBookings(refused, metadata=bearer(TOKEN))
            assert remote_error(caught.value).fields[0][0] == "buyers"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await details.BatchGetBuyerBookings(request)
        assert remote_error(caught.value).code == "forbidden"

    assert [each.booking for each in response.bookings] == [created[0], created[2]]
    assert {each.event.version for each in response.bookings} == {1}


async def test_published_keys_verify_codes_offline(
    booking: "Booking", catalog: TinyCatalog, read_ticket_code: "ReadTicketCode"
) -> None:
    created = (await call(booking.CreateBooking, create(catalog.add(1)))).booking
    listed = (await call(booking.ListTicketKeys, pb.ListTicketKeysRequest())).keys
    keys = {key.key_id: key.public_key for key in listed}
    assert list(keys.values())[1:] == [RETIRED]
    claims = read_ticket_code(created.tickets[0].code, keys)
    assert claims is not None
    assert str(claims.ticket_id) == created.tickets[0].id


def test_settings_take_keys_in_base64() -> None:
    text = base64.b64encode(bytes(range(32))).decode()
    settings = ServeSettings(
        database_url="x",
        redis_url="x",
        catalog_target="x",
        grpc_listen="x",
        notification_token=SecretStr(TOKEN),
        ticket_key=text,  # type: ignore[arg-type]  # as the environment gives it
        retired_ticket_keys=f"{text}, {text}",  # type: ignore[arg-type]  # as above
    )
    assert settings.ticket_key == bytes(range(32))
    assert settings.retired_ticket_keys == (bytes(range(32)),) * 2
