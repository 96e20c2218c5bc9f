"""Events over HTTP."""

from collections.abc import Callable
from typing import Any

import grpc
import httpx
import pytest
from goticket.booking.v1 import booking_pb2
from goticket.catalog.v1 import catalog_pb2 as pb
from goticket_testing.scripted import ScriptedBackends, ScriptedError

EVENT = "0197c0de-7a11-7b00-8a00-0000000000e1"
TYPE = "0197c0de-7a11-7b00-8a00-0000000000a1"
OTHER_TYPE = "0197c0de-7a11-7b00-8a00-0000000000a2"
USER = "0197c0de-7a11-7b00-8a00-0000000000d1"
BODY: dict[str, Any] = {
    "name": "Metallica Live",
    "price": 25000,
    "startAt": "2030-06-01T19:00:00+02:00",
    "endAt": "2030-06-01T23:00:00+02:00",
    "capacity": 1000,
}

SHARED = "public, max-age=1, stale-while-revalidate=1"

Bearer = Callable[..., dict[str, str]]


async def test_a_created_event_has_a_location_and_an_etag(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, event: pb.Event
) -> None:
    backends.answers["CreateEvent"] = pb.CreateEventResponse(event=event)
    answer = await client.post("/api/v1/events", json=BODY, headers=bearer("organizer"))
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/api/v1/events/{EVENT}"
    assert answer.headers["ETag"] == '"3"'
    assert answer.json() == {
        "id": EVENT,
        "name": "Metallica Live",
        "description": "Loud",
        "location": "Warsaw",
        "price": 25000,
        "currency": "EUR",
        "capacity": 1000,
        "availableSpots": 1000,
        "startAt": "2030-06-01T17:00:00Z",
        "endAt": "2030-06-01T21:00:00Z",
        "timezone": "Europe/Warsaw",
        "status": "published",
        "maxPerBuyer": 0,
        "organizerId": USER,
        "version": 3,
        "ticketTypes": [
            {
                "id": TYPE,
                "name": "Golden circle",
                "price": 45000,
                "capacity": 200,
                "maxPerBooking": 10,
                "maxPerBuyer": 0,
                "available": 200,
            },
            {
                "id": OTHER_TYPE,
                "name": "Standing",
                "price": 25000,
                "capacity": 800,
                "maxPerBooking": 10,
                "maxPerBuyer": 0,
                "available": 800,
            },
        ],
    }
    request: pb.CreateEventRequest = backends.request_of("CreateEvent")
    assert request.actor.user_id == USER
    assert request.actor.roles == ["organizer", "user"]
    assert request.starts_at.ToJsonString() == "2030-06-01T17:00:00Z"
    assert (request.price, request.capacity, list(request.ticket_types)) == (25000, 1000, [])


async def test_ticket_types_replace_price_and_capacity(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, event: pb.Event
) -> None:
    backends.answers["CreateEvent"] = pb.CreateEventResponse(event=event)
    kinds = [{"name": "A", "price": 1, "capacity": 2, "maxPerBooking": 3, "maxPerBuyer": 4}]
    body = BODY | {"ticketTypes": kinds, "status": "draft", "maxPerBuyer": 6, "unknown": 1}
    answer = await client.post("/api/v1/events", json=body, headers=bearer("admin"))
    assert answer.status_code == 201
    request: pb.CreateEventRequest = backends.request_of("CreateEvent")
    assert not request.HasField("price")
    assert request.status == pb.EVENT_STATUS_DRAFT
    assert request.ticket_types[0].max_per_booking == 3
    assert (request.max_per_buyer, request.ticket_types[0].max_per_buyer) == (6, 4)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": 7}, "name"),
        ({"name": None}, "name"),
        ({"name": "nul\x00"}, "name"),
        ({"name": "half \ud83c of a pair"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"price": "25000"}, "price"),
        ({"price": -1}, "price"),
        ({"price": 1.5}, "price"),
        ({"price": True}, "price"),
        ({"price": 10**30}, "price"),
        ({"price": None}, "price"),
        ({"capacity": 0}, "capacity"),
        ({"capacity": None}, "capacity"),
        ({"startAt": "2030-06-01T19:00:00"}, "startAt"),
        ({"startAt": "tomorrow"}, "startAt"),
        ({"startAt": "2030-06-01 19:00:00Z"}, "startAt"),
        ({"startAt": "2030-06-01T19:00Z"}, "startAt"),
        ({"startAt": 1900000000}, "startAt"),
        ({"startAt": "1900000000"}, "startAt"),
        ({"startAt": "0001-01-01T00:00:00+14:00"}, "startAt"),
        ({"startAt": "2030-02-30T00:00:00Z"}, "startAt"),
        ({"currency": "EURO"}, "currency"),
        ({"maxPerBuyer": -1}, "maxPerBuyer"),
        ({"maxPerBuyer": "4"}, "maxPerBuyer"),
        ({"maxPerBuyer": 2**31}, "maxPerBuyer"),
        ({"status": "sold"}, "status"),
        ({"ticketTypes": {}}, "ticketTypes"),
        ({"ticketTypes": [{"name": "A", "price": -1, "capacity": 1}]}, "ticketTypes[0].price"),
        ({"ticketTypes": [{"price": 1, "capacity": 1}]}, "ticketTypes[0].name"),
    ],
)
async def test_a_wrong_field_is_named(
    client: httpx.AsyncClient,
    backends: ScriptedBackends,
    bearer: Bearer,
    change: dict[str, Any],
    field: str,
) -> None:
    import json  # texts that httpx does not send, such as half a surrogate pair

    answer = await client.post(
        "/api/v1/events",
        content=json.dumps(BODY | change),
        headers=bearer("organizer") | {"Content-Type": "application/json"},
    )
    assert answer.status_code == 422
    assert answer.json()["error"] == "validation_failed"
    assert [item["field"] for item in answer.json()["errors"]] == [field]
    assert backends.was_not_called("CreateEvent")


async def test_names_may_contain_any_script_and_emoji(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, event: pb.Event
) -> None:
    event.name = "Żółć 音楽 🎸"
    backends.answers["CreateEvent"] = pb.CreateEventResponse(event=event)
    answer = await client.post(
        "/api/v1/events", json=BODY | {"name": event.name}, headers=bearer("organizer")
    )
    assert answer.json()["name"] == event.name
    assert backends.request_of("CreateEvent").name == event.name


async def test_the_catalogs_field_errors_are_passed_on(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer
) -> None:
    backends.answers["CreateEvent"] = ScriptedError(
        grpc.StatusCode.INVALID_ARGUMENT, "validation_failed", endAt="must be after startAt"
    )
    answer = await client.post("/api/v1/events", json=BODY, headers=bearer("organizer"))
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "endAt", "message": "must be after startAt"}]


async def test_a_buyer_may_not_create_events_and_no_backend_is_called(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer
) -> None:
    answer = await client.post("/api/v1/events", json=BODY, headers=bearer())
    assert answer.status_code == 403
    assert answer.json()["error"] == "forbidden"
    assert backends.was_not_called("CreateEvent")


async def test_an_event_is_read_with_its_availability(
    client: httpx.AsyncClient,
    backends: ScriptedBackends,
    event: pb.Event,
    left: booking_pb2.EventAvailability,
) -> None:
    backends.answers["GetEvent"] = pb.GetEventResponse(event=event)
    backends.answers["GetAvailability"] = booking_pb2.GetAvailabilityResponse(events=[left])
    answer = await client.get(f"/api/v1/events/{EVENT}")
    assert answer.status_code == 200
    assert answer.headers["ETag"].startswith('"3-')
    assert answer.json()["availableSpots"] == 97
    assert [kind["available"] for kind in answer.json()["ticketTypes"]] == [7, 90]
    assert not backends.request_of("GetEvent").HasField("actor")


async def test_an_unchanged_event_is_not_sent_again(
    client: httpx.AsyncClient,
    backends: ScriptedBackends,
    bearer: Bearer,
    event: pb.Event,
    left: booking_pb2.EventAvailability,
) -> None:
    backends.answers["GetEvent"] = pb.GetEventResponse(event=event)
    backends.answers["GetAvailability"] = booking_pb2.GetAvailabilityResponse(events=[left])
    url = f"/api/v1/events/{EVENT}"
    first = await client.get(url)
    assert first.headers["Cache-Control"] == SHARED
    etag = first.headers["ETag"]
    for tags in (etag, f"W/{etag}", f'"other", {etag}', f'"a,b",, W/{etag} ,', "*", " * "):
        answer = await client.get(url, headers={"If-None-Match": tags})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["ETag"] == etag
    for tags in ('"3"', '"other"', f'"other, {etag[1:]}', f"*, {etag}", f'{etag} "x"', ""):
        answer = await client.get(url, headers=bearer() | {"If-None-Match": tags})
        assert (answer.status_code, answer.json()["id"]) == (200, EVENT)
        assert answer.headers["Cache-Control"] == "private, no-cache"
    lines = [("If-None-Match", '"other"'), ("If-None-Match", etag)]
    assert (await client.get(url, headers=lines)).status_code == 304
    # One ticket less gives another response for the same version.
    left.ticket_types[0].available -= 1
    backends.answers["GetAvailability"] = booking_pb2.GetAvailabilityResponse(events=[left])
    answer = await client.get(url, headers={"If-None-Match": etag})
    assert (answer.status_code, answer.json()["availableSpots"]) == (200, 96)


async def test_a_change_is_visible_to_every_caller_at_once(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, event: pb.Event
) -> None:
    url = f"/api/v1/events/{EVENT}"

    async def names() -> list[str]:
        page = (await client.get("/api/v1/events")).json()["items"]
        return [(await client.get(url)).json()["name"], page[0]["name"]]

    def answers(name: str) -> None:
        event.name = name
        backends.answers |= {
            "GetEvent": pb.GetEventResponse(event=event),
            "ListEvents": pb.ListEventsResponse(events=[event]),
            "UpdateEvent": pb.UpdateEventResponse(event=event),
            "CancelEvent": pb.CancelEventResponse(event=event),
        }

    answers("First")
    assert await names() == ["First"] * 2
    answers("Second")
    await client.patch(url, json={"name": "Second"}, headers=bearer("organizer"))
    assert await names() == ["Second"] * 2
    answers("Third")
    await client.delete(url, headers=bearer("organizer"))
    assert await names() == ["Third"] * 2


async def test_a_token_on_a_public_read_names_the_actor_to_the_catalog(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, event: pb.Event
) -> None:
    backends.answers["GetEvent"] = pb.GetEventResponse(event=event)
    await client.get(f"/api/v1/events/{EVENT}", headers=bearer("organizer"))
    assert backends.request_of("GetEvent").actor.user_id == USER


async def test_an_event_has_null_availability_when_it_is_unknown(
    client: httpx.AsyncClient, backends: ScriptedBackends, event: pb.Event
) -> None:
    backends.answers["GetEvent"] = pb.GetEventResponse(event=event)
    backends.answers["GetAvailability"] = ScriptedError(grpc.StatusCode.INTERNAL, "internal")
    answer = await client.get(f"/api/v1/events/{EVENT}")
    assert answer.status_code == 200
    assert answer.json()["availableSpots"] is None
    assert answer.json()["ticketTypes"][0]["available"] is None


@pytest.mark.parametrize("event_id", ["1", "x" * 36, "%00", "..%2F", EVENT + "0", "🎸"])
@pytest.mark.parametrize("suffix", ["", "/availability"])
async def test_an_invalid_id_is_not_found(
    client: httpx.AsyncClient, backends: ScriptedBackends, event_id: str, suffix: str
) -> None:
    answer = await client.get(f"/api/v1/events/{event_id}{suffix}")
    assert answer.status_code == 404
    assert answer.json()["error"] in {"event_not_found", "not_found"}
    assert backends.was_not_called()


async def test_an_unknown_event_is_not_found(
    client: httpx.AsyncClient, backends: ScriptedBackends
) -> None:
    backends.answers["GetEvent"] = ScriptedError(grpc.StatusCode.NOT_FOUND, "event_not_found")
    for suffix in ("", "/availability"):
        answer = await client.get(f"/api/v1/events/{EVENT}{suffix}")
        assert (answer.status_code, answer.json()["error"]) == (404, "event_not_found")


async def test_a_list_reads_the_availability_of_a_whole_page_in_one_call(
    client: httpx.AsyncClient,
    backends: ScriptedBackends,
    event: pb.Event,
    left: booking_pb2.EventAvailability,
) -> None:
    other = pb.Event()
    other.CopyFrom(event)
    other.id = TYPE
    backends.answers["ListEvents"] = pb.ListEventsResponse(
        events=[event, other], next_cursor="bmV4dA"
    )
    backends.answers["GetAvailability"] = booking_pb2.GetAvailabilityResponse(events=[left])
    answer = await client.get(
        "/api/v1/events?limit=2&cursor=YQ&q=rock&from=2030-01-01T00:00:00%2B01:00"
        "&to=2031-01-01T00:00:00 01:00&location=Warsaw&status=cancelled&sort=-startAt"
        f"&organizerId={USER}"
    )
    assert answer.status_code == 200
    assert answer.json()["nextCursor"] == "bmV4dA"
    assert [item["availableSpots"] for item in answer.json()["items"]] == [97, 1000]
    assert backends.request_of("GetAvailability").event_ids == [EVENT, TYPE]
    request: pb.ListEventsRequest = backends.request_of("ListEvents")
    assert (request.limit, request.cursor, request.query, request.location) == (
        2,
        "YQ",
        "rock",
        "Warsaw",
    )
    assert request.status == pb.EVENT_STATUS_CANCELLED
    assert request.sort == pb.EVENT_SORT_STARTS_AT_DESC
    assert request.organizer_id == USER
    assert getattr(request, "from").ToJsonString() == "2029-12-31T23:00:00Z"
    assert request.to.ToJsonString() == "2030-12-31T23:00:00Z"


async def test_an_unchanged_list_is_not_sent_again(
    client: httpx.AsyncClient,
    backends: ScriptedBackends,
    bearer: Bearer,
    event: pb.Event,
    left: booking_pb2.EventAvailability,
) -> None:
    def answers(*events: pb.Event, next_cursor: str = "") -> None:
        page = pb.ListEventsResponse(events=events, next_cursor=next_cursor)
        availability = booking_pb2.GetAvailabilityResponse(events=[left])
        backends.answers |= {"ListEvents": page, "GetAvailability": availability}

    # An organizer, because for other callers the previous list is cached for a second.
    as_organizer = bearer("organizer")

    async def ask(tags: str) -> httpx.Response:
        headers = as_organizer | {"If-None-Match": tags}
        return await client.get("/api/v1/events", headers=headers)

    answers(event)
    first = await client.get("/api/v1/events")
    assert first.headers["Cache-Control"] == SHARED
    assert "Authorization" in first.headers["Vary"]
    etag = first.headers["ETag"]
    for tags in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = await ask(tags)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["ETag"] == etag
        assert answer.headers["Cache-Control"] == "private, no-cache"
    for tags in ('"3"', '"other"', f"*, {etag}", ""):
        answer = await ask(tags)
        assert (answer.status_code, len(answer.json()["items"])) == (200, 1)
        assert answer.headers["ETag"] == etag
    other = pb.Event()
    other.CopyFrom(event)
    other.id = TYPE
    seen = {etag}
    for events, cursor in (((event, other), ""), ((other, event), ""), ((), ""), ((event,), "YQ")):
        answers(*events, next_cursor=cursor)
        answer = await ask(", ".join(seen))
        assert answer.status_code == 200
        seen.add(answer.headers["ETag"])
    # One ticket less, an unknown number, and a new version give other responses too.
    left.ticket_types[0].available -= 1
    answers(event)
    answer = await ask(", ".join(seen))
    assert (answer.status_code, answer.json()["items"][0]["availableSpots"]) == (200, 96)
    seen.add(answer.headers["ETag"])
    backends.answers["GetAvailability"] = ScriptedError(grpc.StatusCode.INTERNAL, "internal")
    answer = await ask(", ".join(seen))
    assert answer.json()["items"][0]["availableSpots"] is None
    seen.add(answer.headers["ETag"])
    event.version += 1
    answers(event)
    answer = await ask(", ".join(seen))
    assert (answer.status_code, answer.json()["items"][0]["version"]) == (200, 4)
    assert answer.headers["ETag"] not in seen


@pytest.mark.parametrize(
    ("query", "status", "ended"),
    [
        ("", pb.EVENT_STATUS_UNSPECIFIED, False),
        ("status=published", pb.EVENT_STATUS_PUBLISHED, False),
        ("status=ended", pb.EVENT_STATUS_PUBLISHED, True),
        ("status=draft", pb.EVENT_STATUS_DRAFT, False),
    ],
)
async def test_a_list_of_ended_events_is_one_of_published_events(
    client: httpx.AsyncClient, backends: ScriptedBackends, query: str, status: int, ended: bool
) -> None:
    backends.answers["ListEvents"] = pb.ListEventsResponse()
    assert (await client.get(f"/api/v1/events?{query}")).status_code == 200
    request: pb.ListEventsRequest = backends.request_of("ListEvents")
    assert (request.status, request.ended) == (status, ended)


async def test_the_last_page_has_no_next_cursor(
    client: httpx.AsyncClient, backends: ScriptedBackends
) -> None:
    backends.answers["ListEvents"] = pb.ListEventsResponse()
    answer = await client.get("/api/v1/events")
    assert answer.json() == {"items": [], "nextCursor": None}
    assert backends.was_not_called("GetAvailability")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=many", "limit"),
        ("limit=1.0", "limit"),
        ("limit=1_0", "limit"),
        (f"limit={10**30}", "limit"),
        ("from=yesterday", "from"),
        ("to=2030-01-01T00:00:00", "to"),
        ("status=gone", "status"),
        ("sort=price", "sort"),
        ("q=%00", "q"),
        ("cursor=%00", "cursor"),
        ("organizerId=me", "organizerId"),
        ("organizerId=0197c0de7a117b008a000000000000e1", "organizerId"),
    ],
)
async def test_a_wrong_query_parameter_is_named(
    client: httpx.AsyncClient, backends: ScriptedBackends, query: str, field: str
) -> None:
    answer = await client.get(f"/api/v1/events?{query}")
    assert answer.status_code == 422
    assert [item["field"] for item in answer.json()["errors"]] == [field]
    assert backends.was_not_called()


async def test_a_replacement_clears_absent_fields(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, event: pb.Event
) -> None:
    backends.answers["UpdateEvent"] = pb.UpdateEventResponse(event=event)
    answer = await client.put(
        f"/api/v1/events/{EVENT}", json=BODY, headers=bearer("organizer") | {"If-Match": '"2"'}
    )
    assert answer.status_code == 200
    assert answer.headers["ETag"] == '"3"'
    request: pb.UpdateEventRequest = backends.request_of("UpdateEvent")
    assert (request.event_id, request.expected_version) == (EVENT, 2)
    assert (request.HasField("description"), request.description) == (True, "")
    assert (request.HasField("currency"), request.HasField("ticket_types")) == (False, False)
    assert (request.price, request.capacity) == (25000, 1000)
    assert (request.HasField("max_per_buyer"), request.max_per_buyer) == (True, 0)


async def test_a_replacement_needs_every_field(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer
) -> None:
    answer = await client.put(
        f"/api/v1/events/{EVENT}", json={"price": 1}, headers=bearer("organizer")
    )
    assert answer.status_code == 422
    fields = {item["field"] for item in answer.json()["errors"]}
    assert fields == {"name", "startAt", "endAt"}


async def test_a_change_keeps_absent_fields(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, event: pb.Event
) -> None:
    backends.answers["UpdateEvent"] = pb.UpdateEventResponse(event=event)
    answer = await client.patch(
        f"/api/v1/events/{EVENT}",
        json={"status": "published", "location": None},
        headers=bearer("organizer"),
    )
    assert answer.status_code == 200
    request: pb.UpdateEventRequest = backends.request_of("UpdateEvent")
    assert request.status == pb.EVENT_STATUS_PUBLISHED
    assert [field.name for field, _ in request.ListFields()] == ["actor", "event_id", "status"]


@pytest.mark.parametrize(
    "tag", ['"2"', '"2-0123456789abcdef"', ' "2", "2-0123456789abcdef" ', ', "2", W/"3", "x,y"']
)
async def test_if_match_is_sent_as_the_expected_version(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, tag: str
) -> None:
    stale = ScriptedError(grpc.StatusCode.ABORTED, "stale_version", "It has changed.")
    backends.answers |= {"UpdateEvent": stale, "CancelEvent": stale}
    headers = bearer("organizer") | {"If-Match": tag}
    answers = [
        await client.put(f"/api/v1/events/{EVENT}", json=BODY, headers=headers),
        await client.delete(f"/api/v1/events/{EVENT}", headers=headers),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["error"]) == (412, "stale_version")
        assert answer.json()["detail"] == "It has changed."
    assert backends.request_of("CancelEvent").expected_version == 2


@pytest.mark.parametrize("last", [3, 5])
@pytest.mark.parametrize("lines", [['"5", "3"'], ['"5"', '"3-0123456789abcdef"']])
async def test_any_of_several_tags_may_be_the_last_version(
    client: httpx.AsyncClient,
    backends: ScriptedBackends,
    bearer: Bearer,
    event: pb.Event,
    lines: list[str],
    last: int,
) -> None:
    event.version = last
    backends.answers["GetEvent"] = pb.GetEventResponse(event=event)
    backends.answers["UpdateEvent"] = pb.UpdateEventResponse(event=event)
    headers = [*bearer("organizer").items(), *(("If-Match", line) for line in lines)]
    answer = await client.patch(f"/api/v1/events/{EVENT}", json={}, headers=headers)
    assert answer.status_code == 200
    assert backends.request_of("UpdateEvent").expected_version == last
    assert backends.request_of("GetEvent").actor.user_id == USER


async def test_none_of_several_tags_may_be_the_last_version(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, event: pb.Event
) -> None:
    backends.answers["GetEvent"] = pb.GetEventResponse(event=event)
    headers = bearer("organizer") | {"If-Match": '"1", "2", W/"3"'}
    answer = await client.patch(f"/api/v1/events/{EVENT}", json={}, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (412, "stale_version")
    backends.answers["GetEvent"] = ScriptedError(grpc.StatusCode.NOT_FOUND, "event_not_found")
    answer = await client.delete(f"/api/v1/events/{EVENT}", headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (404, "event_not_found")
    assert backends.was_not_called("UpdateEvent", "CancelEvent")


@pytest.mark.parametrize(
    "tag",
    [
        "2",
        'W/"2"',
        '*, "2"',
        '"2" "3"',
        '"2',
        "",
        ",",
        '"2-"',
        '"2-x"',
        '"abc"',
        '"99999999999999999999"',
        '"9999999999999999999"',
    ],
)
async def test_an_unknown_tag_matches_nothing(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, tag: str
) -> None:
    answer = await client.patch(
        f"/api/v1/events/{EVENT}", json={}, headers=bearer("organizer") | {"If-Match": tag}
    )
    assert (answer.status_code, answer.json()["error"]) == (412, "stale_version")
    assert backends.was_not_called("UpdateEvent")


async def test_a_star_matches_any_version(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, event: pb.Event
) -> None:
    backends.answers["UpdateEvent"] = pb.UpdateEventResponse(event=event)
    headers = bearer("organizer") | {"If-Match": "*"}
    await client.patch(f"/api/v1/events/{EVENT}", json={}, headers=headers)
    assert not backends.request_of("UpdateEvent").HasField("expected_version")


async def test_cancelling_an_event_returns_no_content(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer, event: pb.Event
) -> None:
    backends.answers["CancelEvent"] = pb.CancelEventResponse(event=event)
    answer = await client.delete(f"/api/v1/events/{EVENT}", headers=bearer("organizer"))
    assert (answer.status_code, answer.content) == (204, b"")


async def test_a_capacity_below_the_sold_tickets_is_a_conflict(
    client: httpx.AsyncClient, backends: ScriptedBackends, bearer: Bearer
) -> None:
    backends.answers["UpdateEvent"] = ScriptedError(
        grpc.StatusCode.FAILED_PRECONDITION, "capacity_below_taken"
    )
    answer = await client.patch(
        f"/api/v1/events/{EVENT}", json={"capacity": 1}, headers=bearer("organizer")
    )
    assert (answer.status_code, answer.json()["error"]) == (409, "capacity_below_taken")


async def test_availability_is_read_from_booking(
    client: httpx.AsyncClient,
    backends: ScriptedBackends,
    left: booking_pb2.EventAvailability,
    event: pb.Event,
) -> None:
    backends.answers["GetEvent"] = pb.GetEventResponse(event=event)
    backends.answers["GetAvailability"] = booking_pb2.GetAvailabilityResponse(events=[left])
    answer = await client.get(f"/api/v1/events/{EVENT}/availability")
    assert answer.json() == {
        "eventId": EVENT,
        "available": 97,
        "ticketTypes": [{"id": TYPE, "available": 7}, {"id": OTHER_TYPE, "available": 90}],
    }


async def test_availability_of_a_private_event_is_not_found(
    client: httpx.AsyncClient, backends: ScriptedBackends, left: booking_pb2.EventAvailability
) -> None:
    backends.answers["GetEvent"] = ScriptedError(
        grpc.StatusCode.NOT_FOUND, "event_not_found", "There is no such event."
    )
    backends.answers["GetAvailability"] = booking_pb2.GetAvailabilityResponse(events=[left])
    answer = await client.get(f"/api/v1/events/{EVENT}/availability")
    assert (answer.status_code, answer.json()["error"]) == (404, "event_not_found")


async def test_an_event_that_booking_does_not_know_is_fully_available(
    client: httpx.AsyncClient, backends: ScriptedBackends, event: pb.Event
) -> None:
    backends.answers["GetEvent"] = pb.GetEventResponse(event=event)
    answer = await client.get(f"/api/v1/events/{EVENT}/availability")
    assert answer.json()["available"] == 1000


async def test_unknown_availability_is_unavailable(
    client: httpx.AsyncClient, backends: ScriptedBackends
) -> None:
    backends.answers["GetAvailability"] = ScriptedError(grpc.StatusCode.UNAVAILABLE, "unavailable")
    answer = await client.get(f"/api/v1/events/{EVENT}/availability")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] in {"1", "2", "3"}
