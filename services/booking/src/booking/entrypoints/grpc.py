"""BookingService over gRPC: each call is one use case; grpc_errors maps the errors."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from goticket.booking.v1 import booking_pb2 as pb
from goticket.booking.v1.booking_pb2_grpc import BookingServiceServicer
from goticket_platform.ids import parse_id
from goticket_platform.rpc.server import DEFAULT_DEADLINE_SECONDS

from booking.application.booking_context import BookingContext
from booking.application.booking_submitter import BookingSubmitter
from booking.application.commands.cancel_booking import cancel_booking
from booking.application.commands.confirm_booking import confirm_booking
from booking.application.commands.extend_hold import extend_hold
from booking.application.commands.shrink_capacity import shrink_capacity
from booking.application.ports import (
    AvailabilityPublisher,
    BookingOfEvent,
    BookingQueries,
    CheckInQueries,
    InventoryQueries,
)
from booking.application.queries.get_availability import get_availability
from booking.application.queries.list_bookings import list_bookings
from booking.domain.errors import BookingNotFound, EventNotFound
from booking.domain.inventory import EventInventory
from booking.entrypoints.check_in_list import check_in_tickets, check_in_version
from booking.entrypoints.create_bookings import batch_create_bookings, create_booking
from booking.entrypoints.reads import (
    batch_get_bookings,
    batch_get_tickets,
    batch_list_tickets,
    get_booking,
    get_ticket,
    list_tickets,
)
from booking.entrypoints.requests import (
    actor_of,
    before_of,
    event_ids_of,
    id_of,
    limit_of,
    page_of,
    status_of,
)
from booking.wire import booking_message

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["BookingService"].full_name


@dataclass(frozen=True)
class BookingService(BookingServiceServicer):
    """Translates between protobuf and the use cases."""

    creation: BookingContext
    submitter: BookingSubmitter
    queries: BookingQueries
    check_in: CheckInQueries
    inventories: InventoryQueries
    availability: AvailabilityPublisher
    ticket_keys: Mapping[str, bytes]
    extend_holds_by: timedelta

    async def CreateBooking(  # noqa: N802 - named by the proto
        self, request: pb.CreateBookingRequest, context: object
    ) -> pb.CreateBookingResponse:
        """Create one booking."""
        return await create_booking(request, self.submitter, _deadline(context))

    async def BatchCreateBookings(  # noqa: N802 - named by the proto
        self, request: pb.BatchCreateBookingsRequest, context: object
    ) -> pb.BatchCreateBookingsResponse:
        """Create many bookings."""
        return await batch_create_bookings(request.requests, self.submitter, _deadline(context))

    async def ExtendHold(  # noqa: N802 - named by the proto
        self, request: pb.ExtendHoldRequest, context: object
    ) -> pb.ExtendHoldResponse:
        """Extend a hold."""
        found = await extend_hold(
            id_of(request.booking_id, BookingNotFound),
            actor_of(request.actor),
            bookings=self.creation.bookings,
            now=self.creation.now,
            by=self.extend_holds_by,
        )
        return pb.ExtendHoldResponse(booking=_message(found))

    async def ConfirmBooking(  # noqa: N802 - named by the proto
        self, request: pb.ConfirmBookingRequest, context: object
    ) -> pb.ConfirmBookingResponse:
        """Confirm a hold."""
        found = await confirm_booking(
            id_of(request.booking_id, BookingNotFound),
            actor_of(request.actor),
            bookings=self.creation.bookings,
            issue=self.creation.issue,
            now=self.creation.now,
        )
        return pb.ConfirmBookingResponse(booking=_message(found))

    async def CancelBooking(  # noqa: N802 - named by the proto
        self, request: pb.CancelBookingRequest, context: object
    ) -> pb.CancelBookingResponse:
        """Cancel a booking."""
        found = await cancel_booking(
            id_of(request.booking_id, BookingNotFound),
            actor_of(request.actor),
            bookings=self.creation.bookings,
            now=self.creation.now,
        )
        return pb.CancelBookingResponse(booking=_message(found))

    async def GetBooking(  # noqa: N802 - named by the proto
        self, request: pb.GetBookingRequest, context: object
    ) -> pb.GetBookingResponse:
        """Read one booking."""
        return await get_booking(request, self.queries)

    async def BatchGetBookings(  # noqa: N802 - named by the proto
        self, request: pb.BatchGetBookingsRequest, context: object
    ) -> pb.BatchGetBookingsResponse:
        """Read many bookings."""
        return await batch_get_bookings(request.requests, self.queries)

    async def ListBookings(  # noqa: N802 - named by the proto
        self, request: pb.ListBookingsRequest, context: object
    ) -> pb.ListBookingsResponse:
        """List bookings page by page."""
        limit = limit_of(request.limit)
        found = await list_bookings(
            actor_of(request.actor),
            event_id=id_of(request.event_id, EventNotFound) if request.event_id else None,
            status=status_of(request.status),
            before=before_of(request.cursor),
            limit=limit + 1,
            queries=self.queries,
            provision=self.creation.provision,
        )
        page, cursor = page_of(found, limit, lambda each: each.booking.id)
        return pb.ListBookingsResponse(
            bookings=[_message(each) for each in page], next_cursor=cursor
        )

    async def GetTicket(  # noqa: N802 - named by the proto
        self, request: pb.GetTicketRequest, context: object
    ) -> pb.GetTicketResponse:
        """Read one ticket."""
        return await get_ticket(request, self.queries)

    async def BatchGetTickets(  # noqa: N802 - named by the proto
        self, request: pb.BatchGetTicketsRequest, context: object
    ) -> pb.BatchGetTicketsResponse:
        """Read many tickets."""
        return await batch_get_tickets(request.requests, self.queries)

    async def ListTickets(  # noqa: N802 - named by the proto
        self, request: pb.ListTicketsRequest, context: object
    ) -> pb.ListTicketsResponse:
        """List the actor's tickets page by page."""
        return await list_tickets(request, self.queries)

    async def BatchListTickets(  # noqa: N802 - named by the proto
        self, request: pb.BatchListTicketsRequest, context: object
    ) -> pb.BatchListTicketsResponse:
        """List the tickets of several actors."""
        return await batch_list_tickets(request.requests, self.queries)

    async def GetCheckInVersion(  # noqa: N802 - named by the proto
        self, request: pb.GetCheckInVersionRequest, context: object
    ) -> pb.GetCheckInVersionResponse:
        """Read the version of an event's check-in list."""
        return await check_in_version(request, self.check_in, self.creation.provision)

    async def ListCheckInTickets(  # noqa: N802 - named by the proto
        self, request: pb.ListCheckInTicketsRequest, context: object
    ) -> pb.ListCheckInTicketsResponse:
        """List a page of an event's check-in list."""
        return await check_in_tickets(request, self.check_in, self.creation.provision)

    async def GetAvailability(  # noqa: N802 - named by the proto
        self, request: pb.GetAvailabilityRequest, context: object
    ) -> pb.GetAvailabilityResponse:
        """Read the availability of events; texts that are not ids are left out."""
        found = await get_availability(
            event_ids_of(request.event_ids),
            inventories=self.inventories,
            provision=self.creation.provision,
            availability=self.availability,
        )
        return pb.GetAvailabilityResponse(events=[_availability(inventory) for inventory in found])

    async def ShrinkCapacity(  # noqa: N802 - named by the proto
        self, request: pb.ShrinkCapacityRequest, context: object
    ) -> pb.ShrinkCapacityResponse:
        """Lower capacities for the catalog."""
        capacities: dict[UUID, int] = {}
        for wanted in request.ticket_types:
            with suppress(ValueError):  # no ticket type has such an id
                capacities[parse_id(wanted.ticket_type_id)] = max(0, wanted.capacity)
        await shrink_capacity(
            id_of(request.event_id, EventNotFound),
            capacities,
            bookings=self.creation.bookings,
            inventories=self.inventories,
            provision=self.creation.provision,
            now=self.creation.now,
        )
        return pb.ShrinkCapacityResponse()

    async def ListTicketKeys(  # noqa: N802 - named by the proto
        self, request: pb.ListTicketKeysRequest, context: object
    ) -> pb.ListTicketKeysResponse:
        """List the public keys of ticket codes."""
        return pb.ListTicketKeysResponse(
            keys=[
                pb.TicketKey(key_id=key_id, public_key=key)
                for key_id, key in self.ticket_keys.items()
            ]
        )


def _deadline(context: object) -> float:
    """Return the caller's deadline as a time of the event loop's clock in seconds."""
    remaining: float | None = getattr(context, "time_remaining", lambda: None)()
    if remaining is None:
        remaining = DEFAULT_DEADLINE_SECONDS
    return asyncio.get_running_loop().time() + remaining


def _message(found: BookingOfEvent) -> pb.Booking:
    return booking_message(found.booking, found.event)


def _availability(inventory: EventInventory) -> pb.EventAvailability:
    kinds = inventory.active_ticket_types
    return pb.EventAvailability(
        event_id=str(inventory.event.id),
        available=sum(kind.available for kind in kinds),
        ticket_types=[
            pb.TicketTypeAvailability(ticket_type_id=str(kind.id), available=kind.available)
            for kind in kinds
        ],
    )
