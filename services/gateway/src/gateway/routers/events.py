"""Events: what is on sale, and how much of it is left."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from goticket.catalog.v1 import catalog_pb2 as pb

from gateway.auth import Caller, MaybeCaller, Organizer
from gateway.availability import UNPROVISIONED, Left
from gateway.dependencies import (
    Catalog,
    Cursor,
    EventId,
    Events,
    ExpectedVersion,
    IfNoneMatch,
    Limit,
    WhatIsLeft,
)
from gateway.entity_tags import matches_weakly
from gateway.openapi import OPTIONAL_TOKEN, problems
from gateway.problems import FieldProblem, Problem
from gateway.schemas.common import QueryId, QueryInstant, Text, to_timestamp
from gateway.schemas.events import (
    AvailabilityOut,
    EventChange,
    EventIn,
    EventOut,
    EventPage,
    EventSort,
    EventStatus,
)

router = APIRouter(prefix="/api/v1/events", tags=["events"])

_VERSIONED: dict[str, Any] = {
    "headers": {"ETag": {"description": "The version, for If-Match.", "schema": {"type": "string"}}}
}
_LISTED: dict[str, Any] = {
    "headers": {
        "ETag": {
            "description": "Names this answer, for If-None-Match.",
            "schema": {"type": "string"},
        },
        "Cache-Control": {
            "description": "May be kept, but not used again without asking.",
            "schema": {"type": "string"},
        },
    }
}
_READ: dict[str, Any] = {
    "headers": {
        **_LISTED["headers"],
        "ETag": {
            "description": "Names this answer, for If-None-Match; also good for If-Match.",
            "schema": {"type": "string"},
        },
    }
}
_UNCHANGED = "It is as the ETag in If-None-Match says."
_CREATED: dict[str, Any] = {
    "headers": {
        **_VERSIONED["headers"],
        "Location": {
            "description": "Where the event is.",
            "schema": {"type": "string", "format": "uri-reference"},
        },
    }
}
_CHANGE_PROBLEMS = (
    "forbidden",
    "event_not_found",
    "event_cancelled",
    "capacity_below_taken",
    "stale_version",
)


@router.post(
    "",
    status_code=201,
    summary="Create an event",
    responses={201: _CREATED, **problems("forbidden")},
)
async def create_event(
    caller: Organizer, body: EventIn, response: Response, catalog: Catalog, events: Events
) -> EventOut:
    """On sale at once unless `status` is draft. Role: organizer or admin."""
    _refuse_missing(body)
    event = await catalog.create(body.create_request(caller.actor))
    await events.changed(event)
    response.headers["Location"] = f"{router.prefix}/{event.id}"
    return _versioned(response, event, UNPROVISIONED)


@router.get(
    "",
    summary="List events",
    response_model=EventPage,
    responses={200: _LISTED, 304: {**_LISTED, "description": _UNCHANGED}},
    openapi_extra=OPTIONAL_TOKEN,
)
async def list_events(
    caller: MaybeCaller,
    response: Response,
    events: Events,
    availability: WhatIsLeft,
    if_none_match: IfNoneMatch,
    limit: Limit = 20,
    cursor: Cursor = None,
    q: Annotated[
        Text | None, Query(max_length=200, description="Search, fuzzy, any accents.")
    ] = None,
    starts_from: Annotated[
        QueryInstant | None, Query(alias="from", description="Starting then or later.")
    ] = None,
    starts_before: Annotated[
        QueryInstant | None, Query(alias="to", description="Starting before then.")
    ] = None,
    location: Annotated[
        Text | None, Query(max_length=300, description="Contained text, any case, accents.")
    ] = None,
    status: Annotated[
        EventStatus | None, Query(description="published when absent; draft lists one's own.")
    ] = None,
    sort: EventSort | None = None,
    organizer_id: Annotated[QueryId | None, Query(alias="organizerId")] = None,
) -> Any:
    """Soonest first, or best match first when `q` is given."""
    request = pb.ListEventsRequest(
        limit=limit,
        cursor=cursor or "",
        query=q or "",
        location=location or "",
        status=status.message if status else pb.EVENT_STATUS_UNSPECIFIED,
        sort=sort.message if sort else pb.EVENT_SORT_UNSPECIFIED,
        organizer_id=organizer_id or "",
        to=to_timestamp(starts_before),
        actor=None,  # named where it makes a difference
        **{"from": to_timestamp(starts_from)},  # "from" is a keyword
    )
    page = await events.page(request, caller)
    left: Mapping[str, Left] = await availability.if_known([event.id for event in page.events])
    headers = _read_headers(_etag_of_page(page, left), caller)
    if if_none_match is not None and matches_weakly(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return EventPage(
        items=[EventOut.of(event, left.get(event.id)) for event in page.events],
        next_cursor=page.next_cursor or None,
    )


@router.get(
    "/{event_id}",
    summary="Read an event",
    response_model=EventOut,
    responses={
        200: _READ,
        304: {**_READ, "description": _UNCHANGED},
        **problems("event_not_found"),
    },
    openapi_extra=OPTIONAL_TOKEN,
)
async def get_event(
    caller: MaybeCaller,
    event_id: EventId,
    response: Response,
    events: Events,
    availability: WhatIsLeft,
    if_none_match: IfNoneMatch,
) -> Any:
    """Drafts are there for their organizer and admins only."""
    event = await events.event(event_id, caller)
    left = (await availability.if_known([event.id])).get(event.id)
    headers = _read_headers(_etag_of_answer(event, left), caller)
    if if_none_match is not None and matches_weakly(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return EventOut.of(event, left)


@router.put(
    "/{event_id}",
    summary="Replace an event",
    responses={200: _VERSIONED, **problems(*_CHANGE_PROBLEMS)},
)
async def replace_event(
    caller: Organizer,
    event_id: EventId,
    body: EventIn,
    expected_version: ExpectedVersion,
    response: Response,
    catalog: Catalog,
    events: Events,
    availability: WhatIsLeft,
) -> EventOut:
    """Absent description and location become empty; absent currency, timezone, status stay."""
    _refuse_missing(body)
    request = body.replacement().update_request(event_id, caller.actor, expected_version)
    event = await catalog.update(request)
    await events.changed(event)
    left = await availability.if_known([event.id])
    return _versioned(response, event, left.get(event.id))


@router.patch(
    "/{event_id}",
    summary="Change an event",
    responses={200: _VERSIONED, **problems(*_CHANGE_PROBLEMS)},
)
async def change_event(
    caller: Organizer,
    event_id: EventId,
    body: EventChange,
    expected_version: ExpectedVersion,
    response: Response,
    catalog: Catalog,
    events: Events,
    availability: WhatIsLeft,
) -> EventOut:
    """Absent fields stay. `status: published` puts a draft on sale, `cancelled` cancels."""
    request = body.update_request(event_id, caller.actor, expected_version)
    event = await catalog.update(request)
    await events.changed(event)
    left = await availability.if_known([event.id])
    return _versioned(response, event, left.get(event.id))


@router.delete(
    "/{event_id}",
    status_code=204,
    summary="Cancel an event",
    response_class=Response,
    responses=problems("forbidden", "event_not_found", "stale_version"),
)
async def cancel_event(
    caller: Organizer,
    event_id: EventId,
    expected_version: ExpectedVersion,
    catalog: Catalog,
    events: Events,
) -> None:
    """The event stays readable; its bookings are cancelled and the buyers told."""
    await events.changed(await catalog.cancel(event_id, caller.actor, expected_version))


@router.get(
    "/{event_id}/availability",
    summary="See what is left",
    responses=problems("event_not_found"),
    openapi_extra=OPTIONAL_TOKEN,
)
async def get_availability(
    caller: MaybeCaller, event_id: EventId, events: Events, availability: WhatIsLeft
) -> AvailabilityOut:
    """Cheap to ask often."""
    left = (await availability.of([event_id]))[event_id]
    if left is UNPROVISIONED:
        event = await events.event(event_id, caller)
        left = Left({kind.id: kind.capacity for kind in event.ticket_types})
    return AvailabilityOut.of(event_id, left)


def _read_headers(etag: str, caller: Caller | None) -> dict[str, str]:
    return {
        "ETag": etag,
        "Cache-Control": "no-cache" if caller is None else "private, no-cache",
        "Vary": "Authorization",
    }


def _etag_of_answer(event: pb.Event, left: Left | None) -> str:
    """Name the answer: the version, and what is left, which changes without one."""
    return f'"{event.version}-{hashlib.sha256(_counts(left).encode()).hexdigest()[:16]}"'


def _etag_of_page(page: pb.ListEventsResponse, left: Mapping[str, Left]) -> str:
    """Name the answer: the events, their order, the next page, and what is left of each."""
    digest = hashlib.sha256(page.SerializeToString(deterministic=True))
    for event in page.events:
        digest.update(_counts(left.get(event.id)).encode())
    # Longer than a version may be, so that If-Match cannot take it for one.
    return f'"{digest.hexdigest()[:32]}"'


def _counts(left: Left | None) -> str:
    return "?" if left is None else repr(sorted(left.ticket_types.items()))


def _refuse_missing(body: EventIn) -> None:
    if missing := body.missing():
        text = "This field is required without ticketTypes."
        raise Problem("validation_failed", errors=[FieldProblem(name, text) for name in missing])


def _versioned(response: Response, event: pb.Event, left: Left | None) -> EventOut:
    response.headers["ETag"] = f'"{event.version}"'
    return EventOut.of(event, left)
