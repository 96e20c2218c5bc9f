"""A booking service that knows every booking, for benchmarks of the worker.

python -m services.notification.benchmarks.booking_stub PORT TICKETS
"""

import asyncio
import random
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from goticket.booking.v1 import booking_pb2 as pb
from goticket.booking.v1.notification_data_pb2 import (
    BatchGetBookingDetailsRequest,
    BatchGetBookingDetailsResponse,
    BookingDetails,
    BookingReference,
)
from goticket.booking.v1.notification_data_pb2_grpc import (
    NotificationDataServiceServicer,
    add_NotificationDataServiceServicer_to_server,
)
from goticket_platform.ids import new_id

START = datetime(2030, 6, 12, 17, 30, tzinfo=UTC)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
CODE_LENGTH = 154


def ticket_code() -> str:
    """Return a ticket code of the form and length that booking signs."""
    return "GT1.7F3A9C01." + "".join(random.choices(ALPHABET, k=CODE_LENGTH))  # noqa: S311 - no key


def booking_details(reference: BookingReference, tickets: int) -> BookingDetails:
    """Return a confirmed booking with this number of tickets."""
    event = pb.EventSnapshot(
        id=reference.event_id, name="Metallica Live", location="Berlin", timezone="Europe/Berlin"
    )
    event.starts_at.FromDatetime(START)
    event.ends_at.FromDatetime(START + timedelta(hours=3))
    booking = pb.Booking(
        id=reference.booking_id,
        event_id=reference.event_id,
        buyer_email="ada@buyers.example",
        buyer_name="Ada Lovelace",
        status=pb.BOOKING_STATUS_CONFIRMED,
        items=[
            pb.BookingItem(
                ticket_type_id="t1", ticket_type_name="Floor", quantity=tickets, unit_price=2500
            )
        ],
        total=2500 * tickets,
        currency="EUR",
        version=1,
        tickets=[
            pb.Ticket(
                id=str(new_id()),
                code=ticket_code(),
                ticket_type_id="t1",
                ticket_type_name="Floor",
                status=pb.TICKET_STATUS_VALID,
                holder_name="Ada Lovelace",
            )
            for _ in range(tickets)
        ],
    )
    booking.confirmed_at.FromDatetime(START - timedelta(days=30))
    return BookingDetails(booking=booking, event=event)


class BookingStub(NotificationDataServiceServicer):
    """Answers every reference with a booking."""

    def __init__(self, tickets: int) -> None:
        self._tickets = tickets

    async def BatchGetBookingDetails(  # noqa: N802 - the name is the proto's
        self,
        request: BatchGetBookingDetailsRequest,
        _context: "grpc.aio.ServicerContext[Any, Any]",
    ) -> BatchGetBookingDetailsResponse:
        """Return a booking for each reference."""
        return BatchGetBookingDetailsResponse(
            bookings=[booking_details(each, self._tickets) for each in request.bookings]
        )


async def serve(port: int, tickets: int) -> None:
    """Serve until the process is terminated."""
    server = grpc.aio.server()
    stub = BookingStub(tickets)  # type: ignore[abstract]  # the benchmark calls no other method
    add_NotificationDataServiceServicer_to_server(stub, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
