"""Bookings: taking, confirming and giving up tickets."""

import functools
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from goticket.booking.v1 import booking_pb2 as pb

from gateway.auth import AnyCaller, Organizer
from gateway.dependencies import (
    Booking,
    BookingId,
    Cursor,
    Desk,
    EventId,
    IdempotencyKey,
    Limit,
)
from gateway.hang_up import has_hung_up
from gateway.openapi import problems
from gateway.origin import Origin
from gateway.problems import FieldProblem, Problem
from gateway.schemas.bookings import BookingIn, BookingOut, BookingPage, BookingStatus

router = APIRouter(prefix="/api/v1", tags=["bookings"])

_CREATED: dict[str, Any] = {
    "headers": {
        "Location": {
            "description": "Where the booking is.",
            "schema": {"type": "string", "format": "uri-reference"},
        },
        "Idempotency-Replayed": {
            "description": "true when an earlier request with the key had made the booking,"
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
    response_model_exclude_none=True,
    responses={
        201: _CREATED,
        **problems(
            "event_not_found",
            "sold_out",
            "event_cancelled",
            "event_over",
            "event_started",
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
    response: Response,
    desk: Desk,
    idempotency_key: IdempotencyKey = None,
) -> BookingOut:
    """Confirmed at once, or held for a while with `hold`. All lines are granted or none."""
    if (body.quantity is None) == (body.items is None):
        text = "Send either quantity or items."
        raise Problem("validation_failed", errors=[FieldProblem("quantity", text)])
    wish = body.create_request(event_id, caller.actor, idempotency_key)
    gone = functools.partial(has_hung_up, request.receive)
    made = await desk.submit(wish, Origin.current(), gone)
    response.headers["Location"] = f"{router.prefix}/bookings/{made.booking.id}"
    if made.replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return BookingOut.of(made.booking)


@router.get(
    "/events/{event_id}/bookings",
    summary="List an event's bookings",
    response_model_exclude_none=False,
    responses=problems("forbidden", "event_not_found"),
)
async def list_event_bookings(
    caller: Organizer,
    event_id: EventId,
    booking: Booking,
    limit: Limit = 20,
    cursor: Cursor = None,
    status: OfStatus = None,
) -> BookingPage:
    """Everybody's, newest first. Only the event's organizer or an admin."""
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


@router.get("/bookings", summary="List one's bookings")
async def list_bookings(
    caller: AnyCaller,
    booking: Booking,
    limit: Limit = 20,
    cursor: Cursor = None,
    status: OfStatus = None,
) -> BookingPage:
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


async def _page(booking: Booking, request: pb.ListBookingsRequest) -> BookingPage:
    page = await booking.list_page(request)
    return BookingPage(
        items=[BookingOut.of(one) for one in page.bookings], next_cursor=page.next_cursor or None
    )


@router.get(
    "/bookings/{booking_id}",
    summary="Read a booking",
    response_model_exclude_none=True,
    responses=problems("forbidden", "booking_not_found"),
)
async def get_booking(caller: AnyCaller, booking_id: BookingId, booking: Booking) -> BookingOut:
    """Only its owner, the event's organizer, or an admin."""
    return BookingOut.of(await booking.get(caller.actor, booking_id))


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
        "conflict",
    ),
)
async def extend_hold(caller: AnyCaller, booking_id: BookingId, booking: Booking) -> BookingOut:
    """Gives a buyer who has started to pay more time; works once. Only its owner or an admin."""
    return BookingOut.of(await booking.extend(caller.actor, booking_id))


@router.post(
    "/bookings/{booking_id}/cancel",
    summary="Give a booking up",
    response_model_exclude_none=True,
    responses=problems(
        "forbidden", "booking_not_found", "booking_closed", "event_started", "event_over"
    ),
)
async def cancel_booking(caller: AnyCaller, booking_id: BookingId, booking: Booking) -> BookingOut:
    """Voids its tickets and returns its stock. Cancelling twice changes nothing."""
    return BookingOut.of(await booking.cancel(caller.actor, booking_id))
