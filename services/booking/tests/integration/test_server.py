"""The booking server through a real gRPC channel, with Redis and a tiny real catalog server."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import grpc
import pytest
from booking.adapters.notices import EVENT_CHANGED
from booking.adapters.ticket_codes import verify
from booking.bootstrap import server
from booking.config import ServeSettings
from goticket.booking.v1 import booking_pb2 as pb
from goticket.booking.v1.booking_pb2_grpc import BookingServiceStub
from goticket.catalog.v1 import catalog_pb2
from goticket.catalog.v1.catalog_pb2_grpc import (
    CatalogServiceServicer,
    add_CatalogServiceServicer_to_server,
)
from goticket.common.v1.common_pb2 import Actor
from goticket_platform.ids import new_id
from goticket_platform.rpc.client import call, open_channel
from goticket_platform.rpc.errors import RemoteError
from goticket_testing.databases import Postgres
from redis.asyncio import Redis

if TYPE_CHECKING:
    from goticket.booking.v1.booking_pb2_grpc import BookingServiceAsyncStub as Booking

BUYER = Actor(user_id=str(UUID(int=1)), email="b@example.com", name="B", roles=["user"])
STRANGER = Actor(user_id=str(UUID(int=2)), email="s@example.com", name="S", roles=["user"])
ORGANIZER = Actor(user_id=str(UUID(int=3)), email="o@example.com", name="O", roles=["organizer"])
ADMIN = Actor(user_id=str(UUID(int=4)), email="a@example.com", name="A", roles=["admin"])
RETIRED = bytes(32)

Method = Callable[..., Awaitable[object]]


class TinyCatalog(CatalogServiceServicer):
    """A catalog with the events the test puts in."""

    def __init__(self) -> None:
        self.events: dict[str, catalog_pb2.Event] = {}
        self.asked = 0

    async def BatchGetEvents(  # noqa: N802 - named by the proto
        self, request: catalog_pb2.BatchGetEventsRequest, context: object
    ) -> catalog_pb2.BatchGetEventsResponse:
        self.asked += 1
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
async def booking(
    dsn: str,
    redis_url: str,
    catalog_server: tuple[TinyCatalog, grpc.aio.Server, str],
) -> AsyncIterator["Booking"]:
    settings = ServeSettings(
        database_url=dsn,
        redis_url=redis_url,
        grpc_listen="127.0.0.1:0",
        catalog_target=catalog_server[2],
        ticket_key=bytes(range(32)),
        retired_ticket_keys=(RETIRED,),
    )
    async with server(settings) as port, open_channel(f"127.0.0.1:{port}") as channel:
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
    answer = await call(booking.CreateBooking, create(event, 2, idempotency_key="k"))
    made = answer.booking
    assert (made.status, made.total, made.currency, made.version) == (
        pb.BOOKING_STATUS_CONFIRMED,
        200,
        "EUR",
        1,
    )
    assert (made.buyer_email, made.buyer_name) == ("b@example.com", "B")
    assert made.HasField("confirmed_at")
    assert not made.HasField("expires_at")
    assert [ticket.holder_name for ticket in made.tickets] == ["B", "B"]
    assert made.tickets[0].event.name == "Metallica Live"
    again = await call(booking.CreateBooking, create(event, 2, idempotency_key="k"))
    assert (again.booking, again.replayed) == (made, True)
    read = await call(booking.GetBooking, pb.GetBookingRequest(actor=BUYER, booking_id=made.id))
    assert read.booking == made
    ticket = await call(
        booking.GetTicket, pb.GetTicketRequest(actor=BUYER, ticket_id=made.tickets[1].id)
    )
    assert ticket.ticket == made.tickets[1]
    assert catalog.asked == 1


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


async def test_only_those_concerned_see_and_touch_a_booking(
    booking: "Booking", catalog: TinyCatalog
) -> None:
    event = catalog.add(5)
    made = (await call(booking.CreateBooking, create(event))).booking
    for actor, allowed in ((BUYER, True), (ORGANIZER, True), (ADMIN, True), (STRANGER, False)):
        requests: tuple[tuple[Method, object], ...] = (
            (booking.GetBooking, pb.GetBookingRequest(actor=actor, booking_id=made.id)),
            (booking.GetTicket, pb.GetTicketRequest(actor=actor, ticket_id=made.tickets[0].id)),
        )
        for method, request in requests:
            if allowed:
                await call(method, request)
            else:
                assert (await refusal(method, request)).code == "forbidden"
    changes: tuple[tuple[Method, object], ...] = (
        (booking.CancelBooking, pb.CancelBookingRequest(actor=STRANGER, booking_id=made.id)),
        (booking.ConfirmBooking, pb.ConfirmBookingRequest(actor=ORGANIZER, booking_id=made.id)),
    )
    for method, request in changes:
        error = await refusal(method, request)
        assert (error.status, error.code) == (grpc.StatusCode.PERMISSION_DENIED, "forbidden")


async def test_lists_page_through_everything_once(booking: "Booking", catalog: TinyCatalog) -> None:
    events = [catalog.add(50), catalog.add(50)]
    made = [
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

    newest_first = made[::-1]
    assert await ids(actor=BUYER) == newest_first
    assert await ids(actor=BUYER, event_id=events[1].id) == newest_first[1::2]
    assert await ids(actor=ORGANIZER, event_id=events[0].id) == newest_first[::2]
    assert await ids(actor=BUYER, status=pb.BOOKING_STATUS_HELD) == [made[4], made[0]]
    assert await ids(actor=STRANGER, event_id=events[0].id) == []
    assert await ids(actor=ORGANIZER) == []
    tickets = await call(booking.ListTickets, pb.ListTicketsRequest(actor=BUYER, limit=3))
    assert len(tickets.tickets) == 3
    more = pb.ListTicketsRequest(actor=BUYER, limit=3, cursor=tickets.next_cursor)
    rest = await call(booking.ListTickets, more)
    assert len({ticket.id for ticket in (*tickets.tickets, *rest.tickets)}) == 5


async def test_refusals_carry_status_code_and_fields(
    booking: "Booking", catalog: TinyCatalog
) -> None:
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


async def test_a_caller_that_gives_up_leaves_no_booking_behind(
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
            # Its transaction is ended, not left to wait for the lock.
            while await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ):
                await asyncio.sleep(0.01)
    assert await connection.fetchval("SELECT count(*) FROM booking.bookings") == 1
    await connection.close()
    await call(booking.CreateBooking, create(event))


async def test_a_database_that_restarts_is_prompt_refusals_and_then_business_as_usual(
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


async def test_availability_is_told_and_shown_in_redis(
    booking: "Booking", catalog: TinyCatalog, redis_url: str
) -> None:
    event, fresh = catalog.add(5, 7), catalog.add(3)
    first, second = (kind.id for kind in event.ticket_types)
    lines = [pb.BookingLine(ticket_type_id=second, quantity=2)]
    request = pb.CreateBookingRequest(actor=BUYER, event_id=event.id, lines=lines)
    await call(booking.CreateBooking, request)
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        shown = await redis.hgetall(f"goticket:availability:{{{event.id}}}")
        order = {"order": f"{first},{second}", "order_version": "1"}
        assert shown == {**order, first: "1:5", second: "2:5"}
        assert 0 < await redis.ttl(f"goticket:availability:{{{event.id}}}") <= 60
        asked = pb.GetAvailabilityRequest(event_ids=[event.id, fresh.id, str(new_id()), "x"])
        told = await call(booking.GetAvailability, asked)
        assert {item.event_id: item.available for item in told.events} == {
            event.id: 10,
            fresh.id: 3,
        }
        assert await redis.exists(f"goticket:availability:{{{fresh.id}}}")


async def test_what_is_left_of_a_draft_is_told_to_nobody(
    booking: "Booking", catalog: TinyCatalog, redis_url: str
) -> None:
    event = catalog.add(7)
    event.status = catalog_pb2.EVENT_STATUS_DRAFT
    asked = pb.GetAvailabilityRequest(event_ids=[event.id])
    assert not (await call(booking.GetAvailability, asked)).events
    async with Redis.from_url(redis_url) as redis:
        assert not await redis.exists(f"goticket:availability:{{{event.id}}}")


async def test_a_capacity_shrinks_to_what_is_taken_and_no_further(
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


async def test_a_change_told_by_the_catalog_is_told_to_the_gateways(
    booking: "Booking", catalog: TinyCatalog, redis_url: str
) -> None:
    event = catalog.add(5)
    async with Redis.from_url(redis_url) as redis, redis.pubsub() as notices:
        await notices.subscribe(EVENT_CHANGED)
        await notices.get_message(timeout=5)
        await call(booking.FollowEvent, pb.FollowEventRequest(event=event))
        notice = await notices.get_message(ignore_subscribe_messages=True, timeout=5)
    assert notice is not None
    assert json.loads(notice["data"]) == {"eventId": event.id, "version": 1}


async def test_a_change_told_by_the_catalog_holds_at_once_and_an_older_one_does_not(
    booking: "Booking", catalog: TinyCatalog
) -> None:
    event = catalog.add(5)
    await call(booking.CreateBooking, create(event))
    cancelled = type(event)()
    cancelled.CopyFrom(event)
    cancelled.version += 1
    cancelled.status = catalog_pb2.EVENT_STATUS_CANCELLED
    await call(booking.FollowEvent, pb.FollowEventRequest(event=cancelled))
    assert (await refusal(booking.CreateBooking, create(event))).code == "event_cancelled"
    await call(booking.FollowEvent, pb.FollowEventRequest(event=event))
    assert (await refusal(booking.CreateBooking, create(event))).code == "event_cancelled"
    error = await refusal(booking.FollowEvent, pb.FollowEventRequest())
    assert (error.code, error.fields[0][0]) == ("validation_failed", "event")


async def test_published_keys_verify_codes_offline(
    booking: "Booking", catalog: TinyCatalog
) -> None:
    made = (await call(booking.CreateBooking, create(catalog.add(1)))).booking
    listed = (await call(booking.ListTicketKeys, pb.ListTicketKeysRequest())).keys
    keys = {key.key_id: key.public_key for key in listed}
    assert list(keys.values())[1:] == [RETIRED]
    assert str(verify(made.tickets[0].code, keys).ticket_id) == made.tickets[0].id


def test_settings_take_keys_in_base64() -> None:
    text = base64.b64encode(bytes(range(32))).decode()
    settings = ServeSettings(
        database_url="x",
        redis_url="x",
        catalog_target="x",
        grpc_listen="x",
        ticket_key=text,  # type: ignore[arg-type]  # as the environment gives it
        retired_ticket_keys=f"{text}, {text}",  # type: ignore[arg-type]  # as above
    )
    assert settings.ticket_key == bytes(range(32))
    assert settings.retired_ticket_keys == (bytes(range(32)),) * 2
