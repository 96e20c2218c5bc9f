"""The booking service over gRPC: each call is one use case; errors are mapped by grpc_errors."""

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

from booking.application.apply_event import apply_event
from booking.application.booking_submitter import BookingSubmitter
from booking.application.cancel_booking import cancel_booking
from booking.application.confirm_booking import confirm_booking
from booking.application.extend_hold import extend_hold
from booking.application.get_availability import get_availability
from booking.application.get_booking import get_booking
from booking.application.get_ticket import get_ticket
from booking.application.list_bookings import list_bookings
from booking.application.place_orders import BoxOffice
from booking.application.ports import Availability, BookingLists, BookingOfEvent, Stocks
from booking.application.shrink_capacity import shrink_capacity
from booking.domain.errors import (
    BookingNotFound,
    EventNotFound,
    FieldError,
    InvalidBooking,
    TicketNotFound,
)
from booking.domain.stock import EventStock
from booking.entrypoints.batch import create_booking, create_bookings
from booking.entrypoints.catalog_events import EventChanged, ReadEvent
from booking.entrypoints.requests import (
    actor_of,
    before_of,
    id_of,
    limit_of,
    next_cursor,
    status_of,
)
from booking.wire import booking_message, ticket_message

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["BookingService"].full_name


@dataclass(frozen=True)
class BookingService(BookingServiceServicer):
    """Translates between protobuf and the use cases."""

    office: BoxOffice
    submitter: BookingSubmitter
    lists: BookingLists
    stocks: Stocks
    availability: Availability
    ticket_keys: Mapping[str, bytes]
    extend_holds_by: timedelta
    read_event: ReadEvent
    tell: EventChanged

    async def CreateBooking(  # noqa: N802 - named by the proto
        self, request: pb.CreateBookingRequest, context: object
    ) -> pb.CreateBookingResponse:
        """Book tickets."""
        return await create_booking(request, self.submitter, _deadline(context))

    async def BatchCreateBookings(  # noqa: N802 - named by the proto
        self, request: pb.BatchCreateBookingsRequest, context: object
    ) -> pb.BatchCreateBookingsResponse:
        """Book tickets for many."""
        return await create_bookings(request.requests, self.submitter, _deadline(context))

    async def ExtendHold(  # noqa: N802 - named by the proto
        self, request: pb.ExtendHoldRequest, context: object
    ) -> pb.ExtendHoldResponse:
        """Lengthen a hold."""
        found = await extend_hold(
            id_of(request.booking_id, BookingNotFound),
            actor_of(request.actor),
            bookings=self.office.bookings,
            now=self.office.now,
            by=self.extend_holds_by,
        )
        return pb.ExtendHoldResponse(booking=_message(found))

    async def ConfirmBooking(  # noqa: N802 - named by the proto
        self, request: pb.ConfirmBookingRequest, context: object
    ) -> pb.ConfirmBookingResponse:
        """Turn a hold into tickets."""
        found = await confirm_booking(
            id_of(request.booking_id, BookingNotFound),
            actor_of(request.actor),
            bookings=self.office.bookings,
            issue=self.office.issue,
            now=self.office.now,
        )
        return pb.ConfirmBookingResponse(booking=_message(found))

    async def CancelBooking(  # noqa: N802 - named by the proto
        self, request: pb.CancelBookingRequest, context: object
    ) -> pb.CancelBookingResponse:
        """Give a booking up."""
        found = await cancel_booking(
            id_of(request.booking_id, BookingNotFound),
            actor_of(request.actor),
            bookings=self.office.bookings,
            now=self.office.now,
        )
        return pb.CancelBookingResponse(booking=_message(found))

    async def GetBooking(  # noqa: N802 - named by the proto
        self, request: pb.GetBookingRequest, context: object
    ) -> pb.GetBookingResponse:
        """Read one booking."""
        found = await get_booking(
            id_of(request.booking_id, BookingNotFound),
            actor_of(request.actor),
            bookings=self.office.bookings,
        )
        return pb.GetBookingResponse(booking=_message(found))

    async def ListBookings(  # noqa: N802 - named by the proto
        self, request: pb.ListBookingsRequest, context: object
    ) -> pb.ListBookingsResponse:
        """Page through bookings."""
        limit = limit_of(request.limit)
        page = await list_bookings(
            actor_of(request.actor),
            event_id=id_of(request.event_id, EventNotFound) if request.event_id else None,
            status=status_of(request.status),
            before=before_of(request.cursor),
            limit=limit,
            lists=self.lists,
        )
        return pb.ListBookingsResponse(
            bookings=[_message(found) for found in page],
            next_cursor=next_cursor([found.booking.id for found in page], limit),
        )

    async def GetTicket(  # noqa: N802 - named by the proto
        self, request: pb.GetTicketRequest, context: object
    ) -> pb.GetTicketResponse:
        """Read one ticket."""
        ticket_id = id_of(request.ticket_id, TicketNotFound)
        found = await get_ticket(ticket_id, actor_of(request.actor), lists=self.lists)
        return pb.GetTicketResponse(ticket=ticket_message(found))

    async def ListTickets(  # noqa: N802 - named by the proto
        self, request: pb.ListTicketsRequest, context: object
    ) -> pb.ListTicketsResponse:
        """Page through the actor's tickets."""
        limit = limit_of(request.limit)
        owner = actor_of(request.actor).user_id
        page = await self.lists.list_tickets(owner, before_of(request.cursor), limit)
        return pb.ListTicketsResponse(
            tickets=[ticket_message(found) for found in page],
            next_cursor=next_cursor([found.ticket.id for found in page], limit),
        )

    async def GetAvailability(  # noqa: N802 - named by the proto
        self, request: pb.GetAvailabilityRequest, context: object
    ) -> pb.GetAvailabilityResponse:
        """Tell what is left; ids that no event can have are left out."""
        event_ids = []
        for text in request.event_ids:
            with suppress(ValueError):
                event_ids.append(parse_id(text))
        found = await get_availability(
            event_ids,
            stocks=self.stocks,
            provision=self.office.provision,
            availability=self.availability,
        )
        return pb.GetAvailabilityResponse(events=[_availability(stock) for stock in found])

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
            bookings=self.office.bookings,
            stocks=self.stocks,
            provision=self.office.provision,
            now=self.office.now,
        )
        return pb.ShrinkCapacityResponse()

    async def FollowEvent(  # noqa: N802 - named by the proto
        self, request: pb.FollowEventRequest, context: object
    ) -> pb.FollowEventResponse:
        """Follow a change of the catalog, for the catalog itself."""
        try:
            event = self.read_event(request.event)
        except (ValueError, KeyError) as error:
            message = "Is not an event of the catalog."
            raise InvalidBooking(fields=[FieldError("event", message)]) from error
        await apply_event(event, bookings=self.office.bookings)
        # The catalog has saved it: gateways that ask again now get it. Its message may be late.
        await self.tell(event.event.id, event.event.version)
        return pb.FollowEventResponse()

    async def ListTicketKeys(  # noqa: N802 - named by the proto
        self, request: pb.ListTicketKeysRequest, context: object
    ) -> pb.ListTicketKeysResponse:
        """Name the public keys of ticket codes."""
        return pb.ListTicketKeysResponse(
            keys=[
                pb.TicketKey(key_id=key_id, public_key=key)
                for key_id, key in self.ticket_keys.items()
            ]
        )


def _deadline(context: object) -> float:
    """Return when the caller stops waiting, by the event loop's clock."""
    left: float | None = getattr(context, "time_remaining", lambda: None)()
    if left is None:
        left = DEFAULT_DEADLINE_SECONDS
    return asyncio.get_running_loop().time() + left


def _message(found: BookingOfEvent) -> pb.Booking:
    return booking_message(found.booking, found.event)


def _availability(stock: EventStock) -> pb.EventAvailability:
    kinds = stock.on_offer
    return pb.EventAvailability(
        event_id=str(stock.event.id),
        available=sum(kind.available for kind in kinds),
        ticket_types=[
            pb.TicketTypeAvailability(ticket_type_id=str(kind.id), available=kind.available)
            for kind in kinds
        ],
    )
