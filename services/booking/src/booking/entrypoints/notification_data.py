"""NotificationDataService over gRPC: personal data and ticket codes, for e-mails only."""

import hmac
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

import grpc
from goticket.booking.v1 import notification_data_pb2 as pb
from goticket.booking.v1.notification_data_pb2_grpc import NotificationDataServiceServicer
from goticket_kernel.errors import FieldError, Forbidden
from goticket_platform.ids import parse_id

from booking.application.ports import (
    BookingDetailsQueries,
    BookingKey,
    BookingOfEvent,
    EventBuyerQueries,
)
from booking.application.queries.get_booking_details import get_booking_details
from booking.application.queries.get_event_buyers import (
    get_buyer_bookings,
    list_confirmed_bookings,
)
from booking.domain.errors import InvalidBooking
from booking.wire import event_snapshot, write_booking

if TYPE_CHECKING:
    from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["NotificationDataService"].full_name
MAX_BOOKINGS = 200
_FIRST_ID = UUID(int=0)


@dataclass(frozen=True)
class NotificationDataService(NotificationDataServiceServicer):
    """Serves calls that carry the token which booking and notification share."""

    queries: BookingDetailsQueries
    buyers: EventBuyerQueries
    token: str = field(repr=False)

    async def BatchGetBookingDetails(  # noqa: N802 - named by the proto
        self,
        request: pb.BatchGetBookingDetailsRequest,
        context: "grpc.aio.ServicerContext[Any, Any]",
    ) -> pb.BatchGetBookingDetailsResponse:
        """Read bookings with buyer, tickets, codes and event.

        Raises:
            Forbidden: the token is missing or wrong.
            InvalidBooking: more than MAX_BOOKINGS bookings.
        """
        self._authorize(context)
        if len(request.bookings) > MAX_BOOKINGS:
            problem = FieldError("bookings", f"Must have at most {MAX_BOOKINGS} entries.")
            raise InvalidBooking(fields=[problem])
        found = await get_booking_details(_keys_of(request), queries=self.queries)
        response = pb.BatchGetBookingDetailsResponse()
        _write_details(found, response.bookings)
        return response

    async def ListConfirmedBookings(  # noqa: N802 - named by the proto
        self,
        request: pb.ListConfirmedBookingsRequest,
        context: "grpc.aio.ServicerContext[Any, Any]",
    ) -> pb.ListConfirmedBookingsResponse:
        """Read ids of the confirmed bookings for an event.

        Raises:
            Forbidden: the token is missing or wrong.
            InvalidBooking: an id or the limit is not valid.
        """
        self._authorize(context)
        page = await list_confirmed_bookings(
            _parse("event_id", request.event_id),
            _parse("after_booking_id", request.after_booking_id or str(_FIRST_ID)),
            request.limit,
            queries=self.buyers,
        )
        return pb.ListConfirmedBookingsResponse(
            event_version=page.event_version,
            bookings=[
                pb.ConfirmedBooking(booking_id=str(booking_id), user_id=str(user_id))
                for booking_id, user_id in page.bookings
            ],
        )

    async def BatchGetBuyerBookings(  # noqa: N802 - named by the proto
        self,
        request: pb.BatchGetBuyerBookingsRequest,
        context: "grpc.aio.ServicerContext[Any, Any]",
    ) -> pb.BatchGetBuyerBookingsResponse:
        """Read all confirmed bookings of buyers for events.

        Raises:
            Forbidden: the token is missing or wrong.
            InvalidBooking: more than MAX_BOOKINGS buyers, or an id that is not valid.
        """
        self._authorize(context)
        if len(request.buyers) > MAX_BOOKINGS:
            problem = FieldError("buyers", f"Must have at most {MAX_BOOKINGS} entries.")
            raise InvalidBooking(fields=[problem])
        buyers = dict.fromkeys(
            (_parse("buyers", buyer.event_id), _parse("buyers", buyer.user_id))
            for buyer in request.buyers
        )
        found = await get_buyer_bookings(list(buyers), queries=self.buyers)
        response = pb.BatchGetBuyerBookingsResponse()
        _write_details(found, response.bookings)
        return response

    def _authorize(self, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        expected = f"Bearer {self.token}".encode()
        tokens = [
            value.encode() if isinstance(value, str) else value
            for key, value in context.invocation_metadata() or ()
            if key == "authorization"
        ]
        # Compared in constant time, so that response times do not reveal the token.
        if len(tokens) != 1 or not hmac.compare_digest(tokens[0], expected):
            raise Forbidden


def _write_details(
    found: Iterable[BookingOfEvent], details: "RepeatedCompositeFieldContainer[pb.BookingDetails]"
) -> None:
    for each in found:
        snapshot = event_snapshot(each.event)
        added = details.add(event=snapshot)
        write_booking(each.booking, snapshot, added.booking)


def _parse(name: str, text: str) -> UUID:
    try:
        return parse_id(text)
    except ValueError:
        raise InvalidBooking(fields=[FieldError(name, "Must be a UUID.")]) from None


def _keys_of(request: pb.BatchGetBookingDetailsRequest) -> list[BookingKey]:
    """Parse the references without duplicates; leave out those that no booking can have."""
    keys: dict[BookingKey, None] = {}
    for reference in request.bookings:
        with suppress(ValueError):
            keys[parse_id(reference.event_id), parse_id(reference.booking_id)] = None
    return list(keys)
