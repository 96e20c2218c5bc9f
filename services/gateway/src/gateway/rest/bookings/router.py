"""Bookings: creating, confirming and cancelling them."""

import functools
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from goticket.booking.v1 import booking_pb2 as pb

from gateway.booking_submission.pipeline import render_created
from gateway.http.disconnect import is_disconnected
from gateway.http.openapi import problems
from gateway.http.request_context import RequestContext
from gateway.http.responses import as_starlette, json_response
from gateway.rest.bookings.mapping import create_command
from gateway.rest.bookings.reads import read_booking
from gateway.rest.bookings.rendering import booking_page_json
from gateway.rest.bookings.schemas import BookingIn, BookingOut, BookingPage, BookingStatus
from gateway.rest.dependencies import (
    Booking,
    BookingId,
    Cursor,
    EventId,
    Exchange,
    IdempotencyKey,
    Limit,
    Pipeline,
)
from gateway.rest.routes import HeadFirstRoute
from gateway.security.authentication import AnyCaller, EventBookingsReader

router = APIRouter(prefix="/api/v1", tags=["bookings"], route_class=HeadFirstRoute)

_CREATED: dict[str, Any] = {
    "headers": {
        "Location": {
            "description": "Address of the booking.",
            "schema": {"type": "string", "format": "uri-reference"},
        },
        "Idempotency-Replayed": {
            "description": "true when an earlier request with the key had created the booking,"
            " which may have been confirmed or cancelled since.",
            "schema": {"type": "string"},
        },
    }
}

OfStatus = Annotated[BookingStatus | None, Query(alias="status")]


@router.post(
    "/events/{event_id}/bookings",
    status_code=201,
    summary="Book tickets",
    response_model=BookingOut,
    response_model_exclude_none=True,
    responses={
        201: _CREATED,
        **problems(
            "event_not_found",
            "sold_out",
            "event_cancelled",
            "event_over",
            "request_in_progress",
            "unknown_ticket_type",
            "max_per_booking_exceeded",
            "max_per_buyer_exceeded",
            "too_many_holds",
            "idempotency_key_reused",
        ),
    },
)
async def create_booking(
    caller: AnyCaller,
    event_id: EventId,
    body: BookingIn,
    request: Request,
    exchange: Exchange,
    pipeline: Pipeline,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Confirmed at once, or held for a while with `hold`. All lines are granted or none."""
    command = create_command(body, event_id, caller, idempotency_key)
    disconnected = functools.partial(is_disconnected, request.receive)
    created = await pipeline.submit(command, RequestContext.current(), exchange, disconnected)
    return as_starlette(render_created(created))


@router.get(
    "/events/{event_id}/bookings",
    summary="List an event's bookings",
    response_model=BookingPage,
    responses=problems("forbidden", "event_not_found"),
)
async def list_event_bookings(
    caller: EventBookingsReader,
    event_id: EventId,
    booking: Booking,
    limit: Limit = 20,
    cursor: Cursor = None,
    status: OfStatus = None,
) -> Any:
    """Every buyer's, newest first, without codes. Only the event's organizer or an admin."""
    return await _page(
        booking,
        pb.ListBookingsRequest(
            actor=caller.actor,
            event_id=event_id,
            limit=limit,
            cursor=cursor or "",
            status=status.message if status else pb.BOOKING_STATUS_UNSPECIFIED,
        ),
    )


@router.get("/bookings", summary="List one's bookings", response_model=BookingPage)
async def list_bookings(
    caller: AnyCaller,
    booking: Booking,
    limit: Limit = 20,
    cursor: Cursor = None,
    status: OfStatus = None,
) -> Any:
    """The caller's own, newest first."""
    return await _page(
        booking,
        pb.ListBookingsRequest(
            actor=caller.actor,
            limit=limit,
            cursor=cursor or "",
            status=status.message if status else pb.BOOKING_STATUS_UNSPECIFIED,
        ),
    )


async def _page(booking: Booking, request: pb.ListBookingsRequest) -> Response:
    page = await booking.list_page(request)
    return as_starlette(json_response(booking_page_json(page)))


@router.get(
    "/bookings/{booking_id}",
    summary="Read a booking",
    response_model=BookingOut,
    response_model_exclude_none=True,
    responses=problems("forbidden", "booking_not_found"),
)
async def get_booking(caller: AnyCaller, booking_id: BookingId, booking: Booking) -> Any:
    """Only for its buyer, the event's organizer, or an admin. Only the buyer gets codes."""
    context = RequestContext.current()
    return as_starlette(await read_booking(booking, caller, booking_id, context))


@router.post(
    "/bookings/{booking_id}/confirm",
    summary="Confirm a held booking",
    response_model_exclude_none=True,
    responses=problems(
        "forbidden",
        "booking_not_found",
        "hold_expired",
        "booking_closed",
        "event_cancelled",
        "event_over",
    ),
)
async def confirm_booking(caller: AnyCaller, booking_id: BookingId, booking: Booking) -> BookingOut:
    """Turns the hold into tickets. Confirming twice changes nothing."""
    return BookingOut.of(await booking.confirm(caller.actor, booking_id))


@router.post(
    "/bookings/{booking_id}/extend",
    summary="Extend a hold",
    response_model_exclude_none=True,
    responses=problems(
        "forbidden",
        "booking_not_found",
        "hold_expired",
        "hold_already_extended",
        "booking_closed",
        "event_cancelled",
        "event_over",
    ),
)
async def extend_hold(caller: AnyCaller, booking_id: BookingId, booking: Booking) -> BookingOut:
    """Gives a buyer who has started to pay more time; works once. Only its owner or an admin."""
    return BookingOut.of(await booking.extend(caller.actor, booking_id))


@router.post(
    "/bookings/{booking_id}/cancel",
    summary="Cancel a booking",
    response_model_exclude_none=True,
    responses=problems("forbidden", "booking_not_found", "booking_closed", "event_started"),
)
async def cancel_booking(caller: AnyCaller, booking_id: BookingId, booking: Booking) -> BookingOut:
    """Voids its tickets and makes them available again. Cancelling twice changes nothing."""
    return BookingOut.of(await booking.cancel(caller.actor, booking_id))
