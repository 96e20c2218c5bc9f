"""NotificationDataService over gRPC: personal data and ticket codes, for e-mails only."""

import hmac
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
from goticket.booking.v1 import notification_data_pb2 as pb
from goticket.booking.v1.notification_data_pb2_grpc import NotificationDataServiceServicer
from goticket_kernel.errors import FieldError, Forbidden
from goticket_platform.ids import parse_id

from booking.application.ports import BookingDetailsQueries, BookingKey
from booking.application.queries.get_booking_details import get_booking_details
from booking.domain.errors import InvalidBooking
from booking.wire import event_snapshot, write_booking

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["NotificationDataService"].full_name
MAX_BOOKINGS = 200


@dataclass(frozen=True)
class NotificationDataService(NotificationDataServiceServicer):
    """Serves calls that carry the token which booking and notification share."""

    queries: BookingDetailsQueries
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
        for each in found:
            snapshot = event_snapshot(each.event)
            details = response.bookings.add(event=snapshot)
            write_booking(each.booking, snapshot, details.booking)
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


def _keys_of(request: pb.BatchGetBookingDetailsRequest) -> list[BookingKey]:
    """Parse the references without duplicates; leave out those that no booking can have."""
    keys: dict[BookingKey, None] = {}
    for reference in request.bookings:
        with suppress(ValueError):
            keys[parse_id(reference.event_id), parse_id(reference.booking_id)] = None
    return list(keys)
