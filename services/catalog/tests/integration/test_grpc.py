"""The catalog over a real gRPC channel: responses, and errors with their details."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import asyncpg
import grpc
import pytest
from catalog import bootstrap
from catalog.domain.errors import BookingUnavailable, CapacityBelowTaken
from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp
from goticket.catalog.v1 import catalog_pb2 as pb
from goticket.catalog.v1 import events_pb2
from goticket.catalog.v1.catalog_pb2_grpc import CatalogServiceStub
from goticket.common.v1.common_pb2 import Actor
from goticket_kernel.errors import DomainError
from goticket_platform.ops import Health
from goticket_platform.rpc.client import call
from goticket_platform.rpc.errors import RemoteError
from goticket_platform.rpc.settings import RpcServerSettings
from goticket_testing.rpc_keys import caller_keys, open_service_channel

if TYPE_CHECKING:
    from goticket.catalog.v1.catalog_pb2_grpc import CatalogServiceAsyncStub as Catalog

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
UNKNOWN_ID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
ORGANIZER = Actor(user_id=str(UUID(int=7)), roles=["user", "organizer"])
OTHER_ORGANIZER = Actor(user_id=str(UUID(int=8)), roles=["user", "organizer"])
BUYER = Actor(user_id=str(UUID(int=9)), roles=["user"])
ADMIN = Actor(user_id=str(UUID(int=1)), roles=["user", "admin"])


class FakeInventory:
    """Replaces the booking service: records the calls, and raises `error` if it is set."""

    def __init__(self) -> None:
        self.shrunk: list[dict[UUID, int]] = []
        self.error: DomainError | None = None

    async def shrink(self, event_id: UUID, capacities: Mapping[UUID, int]) -> None:
        self.shrunk.append(dict(capacities))
        if self.error is not None:
            raise self.error


@pytest.fixture
def inventory() -> FakeInventory:
    return FakeInventory()


@pytest.fixture
async def catalog(pool: asyncpg.Pool, inventory: FakeInventory) -> AsyncIterator["Catalog"]:
    settings = RpcServerSettings(grpc_listen="127.0.0.1:0", rpc_caller_keys=caller_keys("catalog"))
    async with (
        bootstrap.serving(settings, pool, inventory, Health(), lambda: NOW) as port,
        open_service_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield CatalogServiceStub(channel)


def timestamp_of(time: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(time)
    return timestamp


def make_request(**changed: object) -> pb.CreateEventRequest:
    fields: dict[str, object] = {
        "actor": ORGANIZER,
        "name": "Metallica Live",
        "starts_at": timestamp_of(NOW + timedelta(days=1)),
        "ends_at": timestamp_of(NOW + timedelta(days=1, hours=3)),
        "price": 25000,
        "capacity": 1000,
    }
    return pb.CreateEventRequest(**(fields | changed))  # type: ignore[arg-type]  # a test's shorthand


async def create_event(catalog: "Catalog", **changed: object) -> pb.Event:
    return (await call(catalog.CreateEvent, make_request(**changed))).event


async def error_of(response: Awaitable[object]) -> RemoteError:
    with pytest.raises(RemoteError) as error:
        await response
    return error.value


async def outbox_messages(pool: asyncpg.Pool) -> list[tuple[str, int]]:
    rows = await pool.fetch("SELECT type, aggregate_version FROM catalog.outbox ORDER BY id")
    return [(row["type"].split(".")[-2], row["aggregate_version"]) for row in rows]


async def test_an_event_is_published_by_default_with_one_message(
    catalog: "Catalog", pool: asyncpg.Pool
) -> None:
    event = await create_event(catalog)

    assert (event.status, event.version) == (pb.EVENT_STATUS_PUBLISHED, 1)
    assert (event.currency, event.timezone) == ("EUR", "UTC")
    assert event.organizer_id == ORGANIZER.user_id
    (ticket_type,) = event.ticket_types
    assert (ticket_type.name, ticket_type.price) == ("General Admission", 25000)
    assert (ticket_type.capacity, ticket_type.max_per_booking) == (1000, 10)
    read = await call(catalog.GetEvent, pb.GetEventRequest(event_id=event.id))
    assert read.event == event
    assert await outbox_messages(pool) == [("published", 1)]


async def test_limits_per_buyer_are_returned_changed_and_published(
    catalog: "Catalog", pool: asyncpg.Pool
) -> None:
    floor = pb.TicketTypeDraft(name="Floor", price=1, capacity=10, max_per_buyer=2)
    event = await create_event(catalog, ticket_types=[floor], max_per_buyer=6)
    assert (event.max_per_buyer, event.ticket_types[0].max_per_buyer) == (6, 2)
    update = pb.UpdateEventRequest(actor=ORGANIZER, event_id=event.id, max_per_buyer=4)
    await call(catalog.UpdateEvent, update)

    read = (await call(catalog.GetEvent, pb.GetEventRequest(event_id=event.id))).event
    assert (read.max_per_buyer, read.ticket_types[0].max_per_buyer) == (4, 2)
    (listed,) = (await call(catalog.ListEvents, pb.ListEventsRequest())).events
    assert listed == read
    payload = await pool.fetchval("SELECT payload FROM catalog.outbox ORDER BY id DESC LIMIT 1")
    state = json_format.Parse(payload, events_pb2.EventUpdated()).event
    assert (state.max_per_buyer, state.ticket_types[0].max_per_buyer) == (4, 2)


async def test_all_invalid_fields_are_reported_together_with_their_json_names(
    catalog: "Catalog",
) -> None:
    request = make_request(
        name="  ",
        starts_at=timestamp_of(NOW - timedelta(seconds=1)),
        ends_at=timestamp_of(NOW - timedelta(seconds=2)),
        currency="XYZ",
        timezone="Mars/Base",
        location="a\x00b",
        ticket_types=[
            pb.TicketTypeDraft(name="VIP", price=-1, capacity=0, id="junk"),
            pb.TicketTypeDraft(name="vip", price=1, capacity=1, max_per_booking=101),
        ],
    )
    error = await error_of(call(catalog.CreateEvent, request))

    assert error.status is grpc.StatusCode.INVALID_ARGUMENT
    assert error.code == "validation_failed"
    assert {field for field, _ in error.fields} == {
        "name",
        "startAt",
        "endAt",
        "currency",
        "timezone",
        "location",
        "ticketTypes[0].id",
        "ticketTypes[0].price",
        "ticketTypes[0].capacity",
        "ticketTypes[1].name",
        "ticketTypes[1].maxPerBooking",
    }


@pytest.mark.parametrize(
    ("seconds", "nanos"), [(2**62, 0), (-(2**62), 0), (0, -1), (253402300800, 0)]
)
async def test_a_time_out_of_range_is_a_field_error(
    catalog: "Catalog", seconds: int, nanos: int
) -> None:
    request = make_request(starts_at=Timestamp(seconds=seconds, nanos=nanos))
    error = await error_of(call(catalog.CreateEvent, request))
    assert "startAt" in dict(error.fields)


async def test_a_name_with_four_byte_characters_is_unchanged(catalog: "Catalog") -> None:
    event = await create_event(catalog, name="  🎸 Żywiołak 🤘 ")
    assert event.name == "🎸 Żywiołak 🤘"


@pytest.mark.parametrize("actor", [BUYER, None, Actor(user_id="nobody", roles=["admin"])])
async def test_only_organizers_and_admins_create_events(
    catalog: "Catalog", actor: Actor | None
) -> None:
    error = await error_of(call(catalog.CreateEvent, make_request(actor=actor)))
    assert (error.status, error.code) == (grpc.StatusCode.PERMISSION_DENIED, "forbidden")


@pytest.mark.parametrize("event_id", ["", "7", "' OR 1=1 --", UNKNOWN_ID, "\x00"])
async def test_an_unknown_id_is_not_found(catalog: "Catalog", event_id: str) -> None:
    for response in (
        call(catalog.GetEvent, pb.GetEventRequest(event_id=event_id)),
        call(catalog.UpdateEvent, pb.UpdateEventRequest(actor=ADMIN, event_id=event_id)),
        call(catalog.CancelEvent, pb.CancelEventRequest(actor=ADMIN, event_id=event_id)),
    ):
        error = await error_of(response)
        assert (error.status, error.code) == (grpc.StatusCode.NOT_FOUND, "event_not_found")


async def test_only_its_organizer_admins_and_services_see_a_draft(
    catalog: "Catalog",
) -> None:
    draft = await create_event(catalog, status=pb.EVENT_STATUS_DRAFT)

    for actor in (ORGANIZER, ADMIN):
        await call(catalog.GetEvent, pb.GetEventRequest(event_id=draft.id, actor=actor))
    await call(catalog.GetEvent, pb.GetEventRequest(event_id=draft.id, include_drafts=True))
    for other in (OTHER_ORGANIZER, BUYER, None):
        request = pb.GetEventRequest(event_id=draft.id, actor=other)
        assert (await error_of(call(catalog.GetEvent, request))).code == "event_not_found"
        update = pb.UpdateEventRequest(event_id=draft.id, actor=other, name="Mine")
        assert (await error_of(call(catalog.UpdateEvent, update))).code == "event_not_found"


async def test_a_cancelled_draft_stays_private(catalog: "Catalog") -> None:
    draft = await create_event(catalog, status=pb.EVENT_STATUS_DRAFT)
    event = await create_event(catalog)
    for id_ in (draft.id, event.id):
        await call(catalog.CancelEvent, pb.CancelEventRequest(actor=ORGANIZER, event_id=id_))

    request = pb.GetEventRequest(event_id=draft.id, actor=OTHER_ORGANIZER)
    assert (await error_of(call(catalog.GetEvent, request))).code == "event_not_found"
    cancelled = pb.ListEventsRequest(status=pb.EVENT_STATUS_CANCELLED)
    assert [item.id for item in (await call(catalog.ListEvents, cancelled)).events] == [event.id]


async def test_drafts_are_listed_for_their_organizer_and_admins(catalog: "Catalog") -> None:
    draft = await create_event(catalog, status=pb.EVENT_STATUS_DRAFT)
    await create_event(catalog)

    async def listed(actor: Actor | None) -> list[str]:
        request = pb.ListEventsRequest(status=pb.EVENT_STATUS_DRAFT, actor=actor)
        return [event.id for event in (await call(catalog.ListEvents, request)).events]

    assert await listed(ORGANIZER) == [draft.id]
    assert await listed(ADMIN) == [draft.id]
    assert await listed(OTHER_ORGANIZER) == []
    assert await listed(None) == []


async def test_publishing_and_cancelling_twice_creates_one_version_and_message_each(
    catalog: "Catalog", pool: asyncpg.Pool
) -> None:
    draft = await create_event(catalog, status=pb.EVENT_STATUS_DRAFT)
    for _ in range(2):
        publish = pb.UpdateEventRequest(
            actor=ORGANIZER, event_id=draft.id, status=pb.EVENT_STATUS_PUBLISHED
        )
        published = await call(catalog.UpdateEvent, publish)
        assert (published.event.status, published.event.version) == (pb.EVENT_STATUS_PUBLISHED, 2)
    for _ in range(2):
        cancelled = await call(
            catalog.CancelEvent, pb.CancelEventRequest(actor=ADMIN, event_id=draft.id)
        )
        assert (cancelled.event.status, cancelled.event.version) == (pb.EVENT_STATUS_CANCELLED, 3)

    assert await outbox_messages(pool) == [("updated", 1), ("published", 2), ("cancelled", 3)]
    update = pb.UpdateEventRequest(actor=ORGANIZER, event_id=draft.id, name="Again")
    error = await error_of(call(catalog.UpdateEvent, update))
    assert (error.status, error.code) == (grpc.StatusCode.FAILED_PRECONDITION, "event_cancelled")


async def test_another_organizers_published_event_cannot_be_changed(catalog: "Catalog") -> None:
    event = await create_event(catalog)
    error = await error_of(
        call(catalog.CancelEvent, pb.CancelEventRequest(actor=OTHER_ORGANIZER, event_id=event.id))
    )
    assert error.code == "forbidden"


async def test_a_stale_version_is_rejected_and_an_empty_change_creates_no_version(
    catalog: "Catalog", pool: asyncpg.Pool
) -> None:
    event = await create_event(catalog)

    def update(**fields: object) -> pb.UpdateEventRequest:
        return pb.UpdateEventRequest(actor=ORGANIZER, event_id=event.id, **fields)  # type: ignore[arg-type]  # a test's shorthand

    same = await call(catalog.UpdateEvent, update(name=event.name, price=25000, capacity=1000))
    assert same.event == event
    renamed = await call(catalog.UpdateEvent, update(name="Metallica II", expected_version=1))
    assert renamed.event.version == 2
    error = await error_of(call(catalog.UpdateEvent, update(name="Late", expected_version=1)))
    assert (error.status, error.code) == (grpc.StatusCode.ABORTED, "stale_version")
    assert await outbox_messages(pool) == [("published", 1), ("updated", 2)]


async def test_exactly_one_of_concurrent_changes_to_one_version_succeeds(
    catalog: "Catalog",
) -> None:
    event = await create_event(catalog)
    contenders = 20
    barrier = asyncio.Barrier(contenders)

    async def contend(number: int) -> str:
        request = pb.UpdateEventRequest(
            actor=ORGANIZER, event_id=event.id, name=f"Name {number}", expected_version=1
        )
        await barrier.wait()
        try:
            await call(catalog.UpdateEvent, request, timeout=10)
        except RemoteError as error:
            return error.code
        return "succeeded"

    outcomes = await asyncio.gather(*(contend(number) for number in range(contenders)))
    assert sorted(outcomes) == ["stale_version"] * (contenders - 1) + ["succeeded"]


async def test_concurrent_changes_without_expected_version_all_succeed(catalog: "Catalog") -> None:
    event = await create_event(catalog)
    updates = [
        pb.UpdateEventRequest(name="New name"),
        pb.UpdateEventRequest(location="New place"),
        pb.UpdateEventRequest(description="New text"),
    ]
    barrier = asyncio.Barrier(len(updates))

    async def update(request: pb.UpdateEventRequest) -> None:
        request.MergeFrom(pb.UpdateEventRequest(actor=ORGANIZER, event_id=event.id))
        await barrier.wait()
        await call(catalog.UpdateEvent, request, timeout=10)

    await asyncio.gather(*map(update, updates))
    read = await call(catalog.GetEvent, pb.GetEventRequest(event_id=event.id))
    after = read.event
    assert (after.name, after.location, after.description) == ("New name", "New place", "New text")
    assert after.version == 4


async def test_only_a_smaller_capacity_calls_booking(
    catalog: "Catalog", inventory: FakeInventory
) -> None:
    event = await create_event(catalog)
    ticket_type_id = UUID(event.ticket_types[0].id)

    def resize(capacity: int) -> pb.UpdateEventRequest:
        return pb.UpdateEventRequest(actor=ORGANIZER, event_id=event.id, capacity=capacity)

    await call(catalog.UpdateEvent, resize(2000))
    assert inventory.shrunk == []
    await call(catalog.UpdateEvent, resize(500))
    assert inventory.shrunk == [{ticket_type_id: 500}]


@pytest.mark.parametrize(
    ("cause", "status", "code"),
    [
        (CapacityBelowTaken(), grpc.StatusCode.FAILED_PRECONDITION, "capacity_below_taken"),
        (BookingUnavailable(), grpc.StatusCode.UNAVAILABLE, "unavailable"),
    ],
)
async def test_the_event_is_unchanged_when_booking_does_not_shrink_the_capacity(
    catalog: "Catalog",
    inventory: FakeInventory,
    cause: DomainError,
    status: grpc.StatusCode,
    code: str,
) -> None:
    event = await create_event(catalog)
    inventory.error = cause
    request = pb.UpdateEventRequest(actor=ORGANIZER, event_id=event.id, capacity=5)

    error = await error_of(call(catalog.UpdateEvent, request))
    assert (error.status, error.code) == (status, code)
    read = await call(catalog.GetEvent, pb.GetEventRequest(event_id=event.id))
    assert read.event == event


async def test_a_batch_leaves_out_unknown_ids(catalog: "Catalog") -> None:
    draft = await create_event(catalog, status=pb.EVENT_STATUS_DRAFT)
    ids = [draft.id, draft.id, str(uuid4()), "junk"]
    found = await call(catalog.BatchGetEvents, pb.BatchGetEventsRequest(event_ids=ids))
    assert list(found.events) == [draft]
    too_many = pb.BatchGetEventsRequest(event_ids=[draft.id] * 201)
    error = await error_of(call(catalog.BatchGetEvents, too_many))
    assert dict(error.fields).keys() == {"eventIds"}


async def test_a_list_reports_its_invalid_parameters(catalog: "Catalog") -> None:
    request = pb.ListEventsRequest(limit=101, query="a\x00", location="x" * 301)
    error = await error_of(call(catalog.ListEvents, request))
    assert {field for field, _ in error.fields} == {"limit", "q", "location"}
    error = await error_of(call(catalog.ListEvents, pb.ListEventsRequest(cursor="junk")))
    assert {field for field, _ in error.fields} == {"cursor"}
    error = await error_of(call(catalog.ListEvents, pb.ListEventsRequest(organizer_id="junk")))
    assert {field for field, _ in error.fields} == {"organizerId"}


async def test_a_cursor_leads_to_the_next_page(catalog: "Catalog") -> None:
    events = [await create_event(catalog, name=f"Show {number}") for number in range(3)]
    first = await call(catalog.ListEvents, pb.ListEventsRequest(limit=2, query="show"))
    second = await call(
        catalog.ListEvents,
        pb.ListEventsRequest(limit=2, query="show", cursor=first.next_cursor),
    )
    seen = [event.id for event in (*first.events, *second.events)]
    assert sorted(seen) == sorted(event.id for event in events)
    assert second.next_cursor == ""
