"""The catalog through a real gRPC channel: answers, and errors with their details."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import asyncpg
import grpc
import pytest
from catalog import bootstrap
from catalog.domain.errors import BookingUnavailable, CapacityBelowTaken, DomainError
from catalog.domain.event import Event
from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp
from goticket.catalog.v1 import catalog_pb2 as pb
from goticket.catalog.v1 import events_pb2
from goticket.catalog.v1.catalog_pb2_grpc import CatalogServiceStub
from goticket.common.v1.common_pb2 import Actor
from goticket_platform.ops import Health
from goticket_platform.rpc.client import call, open_channel
from goticket_platform.rpc.errors import RemoteError

if TYPE_CHECKING:
    from goticket.catalog.v1.catalog_pb2_grpc import CatalogServiceAsyncStub as Catalog

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
NO_EVENTS_ID = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
ORGANIZER = Actor(user_id=str(UUID(int=7)), roles=["user", "organizer"])
RIVAL = Actor(user_id=str(UUID(int=8)), roles=["user", "organizer"])
BUYER = Actor(user_id=str(UUID(int=9)), roles=["user"])
ADMIN = Actor(user_id=str(UUID(int=1)), roles=["user", "admin"])


class ScriptedStock:
    """Stands in for the booking service: remembers what it is asked, refuses when told to."""

    def __init__(self) -> None:
        self.asked: list[dict[UUID, int]] = []
        self.followed: list[int] = []
        self.refusal: DomainError | None = None

    async def shrink(self, event_id: UUID, capacities: Mapping[UUID, int]) -> None:
        self.asked.append(dict(capacities))
        if self.refusal is not None:
            raise self.refusal

    async def follow(self, event: Event) -> None:
        self.followed.append(event.version)


@pytest.fixture
def stock() -> ScriptedStock:
    return ScriptedStock()


@pytest.fixture
async def catalog(pool: asyncpg.Pool, stock: ScriptedStock) -> AsyncIterator["Catalog"]:
    async with (
        bootstrap.serving("127.0.0.1:0", pool, stock, Health(), lambda: NOW) as port,
        open_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield CatalogServiceStub(channel)


def at(time: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(time)
    return timestamp


def a_request(**changed: object) -> pb.CreateEventRequest:
    given: dict[str, object] = {
        "actor": ORGANIZER,
        "name": "Metallica Live",
        "starts_at": at(NOW + timedelta(days=1)),
        "ends_at": at(NOW + timedelta(days=1, hours=3)),
        "price": 25000,
        "capacity": 1000,
    }
    return pb.CreateEventRequest(**(given | changed))  # type: ignore[arg-type]  # a test's shorthand


async def created(catalog: "Catalog", **changed: object) -> pb.Event:
    return (await call(catalog.CreateEvent, a_request(**changed))).event


async def refusal(calling: object) -> RemoteError:
    with pytest.raises(RemoteError) as refused:
        await calling  # type: ignore[misc]  # any coroutine
    return refused.value


async def types_announced(pool: asyncpg.Pool) -> list[tuple[str, int]]:
    rows = await pool.fetch("SELECT type, aggregate_version FROM catalog.outbox ORDER BY id")
    return [(row["type"].split(".")[-2], row["aggregate_version"]) for row in rows]


async def test_an_event_is_created_on_sale_and_announced(
    catalog: "Catalog", pool: asyncpg.Pool
) -> None:
    event = await created(catalog)

    assert (event.status, event.version) == (pb.EVENT_STATUS_PUBLISHED, 1)
    assert (event.currency, event.timezone) == ("EUR", "UTC")
    assert event.organizer_id == ORGANIZER.user_id
    (ticket_type,) = event.ticket_types
    assert (ticket_type.name, ticket_type.price) == ("General Admission", 25000)
    assert (ticket_type.capacity, ticket_type.max_per_booking) == (1000, 10)
    read = await call(catalog.GetEvent, pb.GetEventRequest(event_id=event.id))
    assert read.event == event
    assert await types_announced(pool) == [("published", 1)]


async def test_limits_per_buyer_are_told_changed_and_announced(
    catalog: "Catalog", pool: asyncpg.Pool
) -> None:
    floor = pb.TicketTypeDraft(name="Floor", price=1, capacity=10, max_per_buyer=2)
    event = await created(catalog, ticket_types=[floor], max_per_buyer=6)
    assert (event.max_per_buyer, event.ticket_types[0].max_per_buyer) == (6, 2)
    edit = pb.UpdateEventRequest(actor=ORGANIZER, event_id=event.id, max_per_buyer=4)
    await call(catalog.UpdateEvent, edit)

    read = (await call(catalog.GetEvent, pb.GetEventRequest(event_id=event.id))).event
    assert (read.max_per_buyer, read.ticket_types[0].max_per_buyer) == (4, 2)
    (listed,) = (await call(catalog.ListEvents, pb.ListEventsRequest())).events
    assert listed == read
    told = await pool.fetchval("SELECT payload FROM catalog.outbox ORDER BY id DESC LIMIT 1")
    assert json_format.Parse(told, events_pb2.EventUpdated()).event == read


async def test_every_wrong_field_is_named_at_once(catalog: "Catalog") -> None:
    request = a_request(
        name="  ",
        starts_at=at(NOW - timedelta(seconds=1)),
        ends_at=at(NOW - timedelta(seconds=2)),
        currency="XYZ",
        timezone="Mars/Base",
        location="a\x00b",
        ticket_types=[
            pb.TicketTypeDraft(name="VIP", price=-1, capacity=0),
            pb.TicketTypeDraft(name="vip", price=1, capacity=1, max_per_booking=101),
        ],
    )
    error = await refusal(call(catalog.CreateEvent, request))

    assert error.status is grpc.StatusCode.INVALID_ARGUMENT
    assert error.code == "validation_failed"
    assert {field for field, _ in error.fields} == {
        "name",
        "startAt",
        "endAt",
        "currency",
        "timezone",
        "location",
        "ticketTypes[0].price",
        "ticketTypes[0].capacity",
        "ticketTypes[1].name",
        "ticketTypes[1].maxPerBooking",
    }


@pytest.mark.parametrize(
    ("seconds", "nanos"), [(2**62, 0), (-(2**62), 0), (0, -1), (253402300800, 0)]
)
async def test_a_time_no_calendar_holds_is_a_field_error(
    catalog: "Catalog", seconds: int, nanos: int
) -> None:
    request = a_request(starts_at=Timestamp(seconds=seconds, nanos=nanos))
    error = await refusal(call(catalog.CreateEvent, request))
    assert "startAt" in dict(error.fields)


async def test_a_name_of_four_byte_characters_comes_back_as_it_was(catalog: "Catalog") -> None:
    event = await created(catalog, name="  🎸 Żywiołak 🤘 ")
    assert event.name == "🎸 Żywiołak 🤘"


@pytest.mark.parametrize("actor", [BUYER, None, Actor(user_id="nobody", roles=["admin"])])
async def test_only_organizers_and_admins_create(catalog: "Catalog", actor: Actor | None) -> None:
    error = await refusal(call(catalog.CreateEvent, a_request(actor=actor)))
    assert (error.status, error.code) == (grpc.StatusCode.PERMISSION_DENIED, "forbidden")


@pytest.mark.parametrize("event_id", ["", "7", "' OR 1=1 --", NO_EVENTS_ID, "\x00"])
async def test_an_id_of_no_event_is_not_found(catalog: "Catalog", event_id: str) -> None:
    for calling in (
        call(catalog.GetEvent, pb.GetEventRequest(event_id=event_id)),
        call(catalog.UpdateEvent, pb.UpdateEventRequest(actor=ADMIN, event_id=event_id)),
        call(catalog.CancelEvent, pb.CancelEventRequest(actor=ADMIN, event_id=event_id)),
    ):
        error = await refusal(calling)
        assert (error.status, error.code) == (grpc.StatusCode.NOT_FOUND, "event_not_found")


async def test_a_draft_is_seen_by_its_organizer_admins_and_services_only(
    catalog: "Catalog",
) -> None:
    draft = await created(catalog, status=pb.EVENT_STATUS_DRAFT)

    for actor in (ORGANIZER, ADMIN):
        await call(catalog.GetEvent, pb.GetEventRequest(event_id=draft.id, actor=actor))
    await call(catalog.GetEvent, pb.GetEventRequest(event_id=draft.id, include_drafts=True))
    for stranger in (RIVAL, BUYER, None):
        request = pb.GetEventRequest(event_id=draft.id, actor=stranger)
        assert (await refusal(call(catalog.GetEvent, request))).code == "event_not_found"
        edit = pb.UpdateEventRequest(event_id=draft.id, actor=stranger, name="Mine")
        assert (await refusal(call(catalog.UpdateEvent, edit))).code == "event_not_found"


async def test_a_draft_that_was_cancelled_stays_private(catalog: "Catalog") -> None:
    draft = await created(catalog, status=pb.EVENT_STATUS_DRAFT)
    event = await created(catalog)
    for id_ in (draft.id, event.id):
        await call(catalog.CancelEvent, pb.CancelEventRequest(actor=ORGANIZER, event_id=id_))

    request = pb.GetEventRequest(event_id=draft.id, actor=RIVAL)
    assert (await refusal(call(catalog.GetEvent, request))).code == "event_not_found"
    cancelled = pb.ListEventsRequest(status=pb.EVENT_STATUS_CANCELLED)
    assert [item.id for item in (await call(catalog.ListEvents, cancelled)).events] == [event.id]


async def test_drafts_are_listed_for_their_organizer_and_for_admins(catalog: "Catalog") -> None:
    draft = await created(catalog, status=pb.EVENT_STATUS_DRAFT)
    await created(catalog)

    async def listed(actor: Actor | None) -> list[str]:
        request = pb.ListEventsRequest(status=pb.EVENT_STATUS_DRAFT, actor=actor)
        return [event.id for event in (await call(catalog.ListEvents, request)).events]

    assert await listed(ORGANIZER) == [draft.id]
    assert await listed(ADMIN) == [draft.id]
    assert await listed(RIVAL) == []
    assert await listed(None) == []


async def test_a_draft_becomes_published_then_cancelled_each_announced_once(
    catalog: "Catalog", pool: asyncpg.Pool
) -> None:
    draft = await created(catalog, status=pb.EVENT_STATUS_DRAFT)
    for _ in range(2):
        published = await call(
            catalog.PublishEvent, pb.PublishEventRequest(actor=ORGANIZER, event_id=draft.id)
        )
        assert (published.event.status, published.event.version) == (pb.EVENT_STATUS_PUBLISHED, 2)
    for _ in range(2):
        cancelled = await call(
            catalog.CancelEvent, pb.CancelEventRequest(actor=ADMIN, event_id=draft.id)
        )
        assert (cancelled.event.status, cancelled.event.version) == (pb.EVENT_STATUS_CANCELLED, 3)

    assert await types_announced(pool) == [("updated", 1), ("published", 2), ("cancelled", 3)]
    edit = pb.UpdateEventRequest(actor=ORGANIZER, event_id=draft.id, name="Again")
    error = await refusal(call(catalog.UpdateEvent, edit))
    assert (error.status, error.code) == (grpc.StatusCode.FAILED_PRECONDITION, "event_cancelled")


async def test_a_rivals_published_event_cannot_be_changed(catalog: "Catalog") -> None:
    event = await created(catalog)
    error = await refusal(
        call(catalog.CancelEvent, pb.CancelEventRequest(actor=RIVAL, event_id=event.id))
    )
    assert error.code == "forbidden"


async def test_a_stale_version_is_refused_and_an_empty_change_is_none(
    catalog: "Catalog", pool: asyncpg.Pool
) -> None:
    event = await created(catalog)

    def edit(**given: object) -> pb.UpdateEventRequest:
        return pb.UpdateEventRequest(actor=ORGANIZER, event_id=event.id, **given)  # type: ignore[arg-type]  # a test's shorthand

    same = await call(catalog.UpdateEvent, edit(name=event.name, price=25000, capacity=1000))
    assert same.event == event
    renamed = await call(catalog.UpdateEvent, edit(name="Metallica II", expected_version=1))
    assert renamed.event.version == 2
    error = await refusal(call(catalog.UpdateEvent, edit(name="Late", expected_version=1)))
    assert (error.status, error.code) == (grpc.StatusCode.ABORTED, "stale_version")
    assert await types_announced(pool) == [("published", 1), ("updated", 2)]


async def test_of_edits_that_expect_one_version_exactly_one_wins(catalog: "Catalog") -> None:
    event = await created(catalog)
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
        return "won"

    outcomes = await asyncio.gather(*(contend(number) for number in range(contenders)))
    assert sorted(outcomes) == ["stale_version"] * (contenders - 1) + ["won"]


async def test_edits_that_expect_no_version_do_not_undo_each_other(catalog: "Catalog") -> None:
    event = await created(catalog)
    edits = [
        pb.UpdateEventRequest(name="New name"),
        pb.UpdateEventRequest(location="New place"),
        pb.UpdateEventRequest(description="New text"),
    ]
    barrier = asyncio.Barrier(len(edits))

    async def edit(request: pb.UpdateEventRequest) -> None:
        request.MergeFrom(pb.UpdateEventRequest(actor=ORGANIZER, event_id=event.id))
        await barrier.wait()
        await call(catalog.UpdateEvent, request, timeout=10)

    await asyncio.gather(*map(edit, edits))
    read = await call(catalog.GetEvent, pb.GetEventRequest(event_id=event.id))
    after = read.event
    assert (after.name, after.location, after.description) == ("New name", "New place", "New text")
    assert after.version == 4


async def test_shrinking_asks_booking_and_growing_does_not(
    catalog: "Catalog", stock: ScriptedStock
) -> None:
    event = await created(catalog)
    ticket_type_id = UUID(event.ticket_types[0].id)

    def resize(capacity: int) -> pb.UpdateEventRequest:
        return pb.UpdateEventRequest(actor=ORGANIZER, event_id=event.id, capacity=capacity)

    await call(catalog.UpdateEvent, resize(2000))
    assert stock.asked == []
    await call(catalog.UpdateEvent, resize(500))
    assert stock.asked == [{ticket_type_id: 500}]


@pytest.mark.parametrize(
    ("cause", "status", "code"),
    [
        (CapacityBelowTaken(), grpc.StatusCode.FAILED_PRECONDITION, "capacity_below_taken"),
        (BookingUnavailable(), grpc.StatusCode.UNAVAILABLE, "unavailable"),
    ],
)
async def test_what_booking_does_not_let_shrink_stays(
    catalog: "Catalog", stock: ScriptedStock, cause: DomainError, status: grpc.StatusCode, code: str
) -> None:
    event = await created(catalog)
    stock.refusal = cause
    request = pb.UpdateEventRequest(actor=ORGANIZER, event_id=event.id, capacity=5)

    error = await refusal(call(catalog.UpdateEvent, request))
    assert (error.status, error.code) == (status, code)
    read = await call(catalog.GetEvent, pb.GetEventRequest(event_id=event.id))
    assert read.event == event


async def test_a_batch_leaves_out_ids_of_no_event(catalog: "Catalog") -> None:
    draft = await created(catalog, status=pb.EVENT_STATUS_DRAFT)
    ids = [draft.id, draft.id, str(uuid4()), "junk"]
    found = await call(catalog.BatchGetEvents, pb.BatchGetEventsRequest(event_ids=ids))
    assert list(found.events) == [draft]
    too_many = pb.BatchGetEventsRequest(event_ids=[draft.id] * 201)
    error = await refusal(call(catalog.BatchGetEvents, too_many))
    assert dict(error.fields).keys() == {"eventIds"}


async def test_a_list_names_its_wrong_parameters(catalog: "Catalog") -> None:
    request = pb.ListEventsRequest(limit=101, query="a\x00", location="x" * 301)
    error = await refusal(call(catalog.ListEvents, request))
    assert {field for field, _ in error.fields} == {"limit", "q", "location"}
    error = await refusal(call(catalog.ListEvents, pb.ListEventsRequest(cursor="junk")))
    assert {field for field, _ in error.fields} == {"cursor"}
    error = await refusal(call(catalog.ListEvents, pb.ListEventsRequest(organizer_id="junk")))
    assert {field for field, _ in error.fields} == {"organizerId"}


async def test_a_list_is_paged_by_its_cursor(catalog: "Catalog") -> None:
    made = [await created(catalog, name=f"Show {number}") for number in range(3)]
    first = await call(catalog.ListEvents, pb.ListEventsRequest(limit=2, query="show"))
    second = await call(
        catalog.ListEvents,
        pb.ListEventsRequest(limit=2, query="show", cursor=first.next_cursor),
    )
    seen = [event.id for event in (*first.events, *second.events)]
    assert sorted(seen) == sorted(event.id for event in made)
    assert second.next_cursor == ""
