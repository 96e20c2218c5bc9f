"""Events and their availability."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from goticket.catalog.v1 import catalog_pb2 as pb

from gateway.cache.availability_reader import UNPROVISIONED, Availability
from gateway.http.openapi import OPTIONAL_TOKEN, problems
from gateway.http.problems import FieldProblem, Problem
from gateway.http.request_context import RequestContext
from gateway.http.responses import as_starlette
from gateway.rest.dependencies import (
    Catalog,
    EventId,
    ExpectedVersion,
    IfNoneMatch,
    Reads,
)
from gateway.rest.events.public_reads import render_answer
from gateway.rest.events.query import EventQuery, list_request
from gateway.rest.events.schemas import (
    AvailabilityOut,
    EventChange,
    EventIn,
    EventOut,
    EventPage,
)
from gateway.rest.routes import HeadFirstRoute
from gateway.security.authentication import EventChanger, EventCreator, MaybeCaller

router = APIRouter(prefix="/api/v1/events", tags=["events"], route_class=HeadFirstRoute)

_VERSIONED: dict[str, Any] = {
    "headers": {"ETag": {"description": "The version, for If-Match.", "schema": {"type": "string"}}}
}
_LISTED: dict[str, Any] = {
    "headers": {
        "ETag": {
            "description": "Identifies this answer, for If-None-Match.",
            "schema": {"type": "string"},
        },
        "Cache-Control": {
            "description": "Without a token shared caches may use the answer for a second;"
            " with one it is private and has to be revalidated.",
            "schema": {"type": "string"},
            "example": "public, max-age=1, stale-while-revalidate=1",
        },
        "Age": {
            "description": "Seconds since the answer's data was read, rounded up; absent in"
            " answers to a token.",
            "schema": {"type": "integer", "minimum": 0},
        },
    }
}
_READ: dict[str, Any] = {
    "headers": {
        **_LISTED["headers"],
        "ETag": {
            "description": "Identifies this answer, for If-None-Match; also good for If-Match.",
            "schema": {"type": "string"},
        },
    }
}
_UNCHANGED = "The answer is the one that If-None-Match names."
_CREATED: dict[str, Any] = {
    "headers": {
        **_VERSIONED["headers"],
        "Location": {
            "description": "Address of the event.",
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
    caller: EventCreator, body: EventIn, response: Response, catalog: Catalog, reads: Reads
) -> EventOut:
    """The event is on sale at once unless `status` is draft. Role: organizer or admin."""
    _reject_missing(body)
    event = await catalog.create(body.create_request(caller.actor))
    await reads.events.changed(event.id, event.version)
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
    reads: Reads,
    if_none_match: IfNoneMatch,
    query: Annotated[EventQuery, Query()],
) -> Any:
    """Upcoming events, the soonest first; those that have ended by `status` or `from` only."""
    page = await reads.page(list_request(query), caller, RequestContext.current())
    return as_starlette(render_answer(page, caller, if_none_match, reads.clock()))


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
    caller: MaybeCaller, event_id: EventId, reads: Reads, if_none_match: IfNoneMatch
) -> Any:
    """Drafts are visible to their organizer and admins only."""
    event = await reads.event(event_id, caller, RequestContext.current())
    return as_starlette(render_answer(event, caller, if_none_match, reads.clock()))


@router.put(
    "/{event_id}",
    summary="Replace an event",
    responses={200: _VERSIONED, **problems(*_CHANGE_PROBLEMS)},
)
async def replace_event(
    caller: EventChanger,
    event_id: EventId,
    body: EventIn,
    expected_version: ExpectedVersion,
    response: Response,
    catalog: Catalog,
    reads: Reads,
) -> EventOut:
    """Absent description and location become empty; absent currency, timezone, status stay."""
    _reject_missing(body)
    version = await expected_version.among_current(catalog, caller, event_id)
    request = body.replacement().update_request(event_id, caller.actor, version)
    event = await catalog.update(request)
    await reads.events.changed(event.id, event.version)
    availability = await reads.availability.load_if_known(event.id)
    return _versioned(response, event, availability.value if availability else None)


@router.patch(
    "/{event_id}",
    summary="Change an event",
    responses={200: _VERSIONED, **problems(*_CHANGE_PROBLEMS)},
)
async def change_event(
    caller: EventChanger,
    event_id: EventId,
    body: EventChange,
    expected_version: ExpectedVersion,
    response: Response,
    catalog: Catalog,
    reads: Reads,
) -> EventOut:
    """Absent fields stay. `status: published` puts a draft on sale, `cancelled` cancels."""
    version = await expected_version.among_current(catalog, caller, event_id)
    request = body.update_request(event_id, caller.actor, version)
    event = await catalog.update(request)
    await reads.events.changed(event.id, event.version)
    availability = await reads.availability.load_if_known(event.id)
    return _versioned(response, event, availability.value if availability else None)


@router.delete(
    "/{event_id}",
    status_code=204,
    summary="Cancel an event",
    response_class=Response,
    responses=problems("forbidden", "event_not_found", "stale_version"),
)
async def cancel_event(
    caller: EventChanger,
    event_id: EventId,
    expected_version: ExpectedVersion,
    catalog: Catalog,
    reads: Reads,
) -> None:
    """The event stays readable; its bookings are cancelled and the buyers notified."""
    version = await expected_version.among_current(catalog, caller, event_id)
    event = await catalog.cancel(event_id, caller.actor, version)
    await reads.events.changed(event.id, event.version)


@router.get(
    "/{event_id}/availability",
    summary="Read an event's availability",
    response_model=AvailabilityOut,
    responses={
        200: _LISTED,
        304: {**_LISTED, "description": _UNCHANGED},
        **problems("event_not_found"),
    },
    openapi_extra=OPTIONAL_TOKEN,
)
async def get_availability(
    caller: MaybeCaller, event_id: EventId, reads: Reads, if_none_match: IfNoneMatch
) -> Any:
    """Available tickets of an event and of each ticket type; cheap to poll."""
    context = RequestContext.current()
    availability = await reads.event_availability(event_id, caller, context)
    return as_starlette(render_answer(availability, caller, if_none_match, reads.clock()))


def _reject_missing(body: EventIn) -> None:
    if missing := body.missing():
        text = "This field is required without ticketTypes."
        raise Problem("validation_failed", errors=[FieldProblem(name, text) for name in missing])


def _versioned(response: Response, event: pb.Event, availability: Availability | None) -> EventOut:
    response.headers["ETag"] = f'"{event.version}"'
    return EventOut.of(event, availability)
