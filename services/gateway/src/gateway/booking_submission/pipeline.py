"""The steps of a new booking after authentication and parsing: admit, submit, render.

FastAPI's route and the fast path call the same steps, so that a limit is written once.
"""

from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.rpc.errors import RemoteError
from prometheus_client import Counter

from gateway.booking_submission.sold_out_cache import ONLY_TYPE, SoldOutCache
from gateway.booking_submission.submitter import BookingSubmitter, IsDisconnected
from gateway.cache.event_cache import EventCache
from gateway.http.exchange import HttpExchange
from gateway.http.problems import Problem
from gateway.http.request_context import RequestContext
from gateway.http.responses import HttpResponse, json_response
from gateway.rate_limits.request_limits import RequestLimits
from gateway.rest.bookings.mapping import CreateBookingCommand
from gateway.rest.bookings.rendering import booking_json

BOOKINGS_PATH = "/api/v1/bookings"

REJECTIONS = Counter(
    "goticket_gateway_sold_out_rejections", "Bookings rejected by the sold-out cache"
)


class BookingPipeline:
    """Admits and submits new bookings."""

    def __init__(
        self,
        submitter: BookingSubmitter,
        sold_out: SoldOutCache,
        events: EventCache,
        limits: RequestLimits,
    ) -> None:
        self._submitter = submitter
        self._sold_out = sold_out
        self._events = events
        self._limits = limits
        self._in_progress = 0

    def is_booking(self) -> bool:
        """Return whether a booking has been submitted and not answered yet."""
        return self._in_progress > 0

    def rejection_reason(self, event_id: str) -> str | None:
        """Return the reason to reject a booking of this event as "busy" now, if there is one."""
        return self._submitter.rejection_reason(event_id)

    def reject_sold_out(self, command: CreateBookingCommand) -> None:
        """Admit the command unless its ticket types are known to be sold out.

        The problem has the extension members that booking's rejection would have. The only
        type of an event has no id here.

        Raises:
            Problem: sold_out.
        """
        if command.idempotency_key:
            return  # it may repeat a granted one
        type_id = self._sold_out.find_sold_out(command.event_id, command.ticket_type_ids)
        if type_id is not None:
            REJECTIONS.inc()
            named = {} if type_id == ONLY_TYPE else {"ticketTypeId": type_id}
            raise Problem("sold_out", extensions={"available": 0, **named})

    def reject_unknown_event(self, event_id: str) -> None:
        """Admit the command unless it is cached that there is no such event.

        An event never becomes private again, so no key can repeat a granted command here.

        Raises:
            Problem: event_not_found.
        """
        if self._events.is_absent(event_id):
            raise Problem("event_not_found")

    async def submit(
        self,
        command: CreateBookingCommand,
        context: RequestContext,
        exchange: HttpExchange,
        is_disconnected: IsDisconnected | None = None,
    ) -> pb.CreateBookingResponse:
        """Admit the command and send it to booking.

        Raises:
            Problem: event_not_found, sold_out, busy or rate_limited.
            RemoteError: booking rejected it, or its call failed.
        """
        self.reject_unknown_event(command.event_id)
        self.reject_sold_out(command)
        generation = self._events.generation
        request = command.as_request()
        charged = self._limits.booking(exchange, command.caller.user_id)
        self._in_progress += 1
        try:
            return await self._submitter.submit(request, context, is_disconnected, charged)
        except RemoteError as error:
            if error.code == "sold_out":
                self._sold_out.record(request, error.metadata)
            elif error.code == "event_not_found":
                self._events.record_absent(command.event_id, generation)
            raise
        finally:
            self._in_progress -= 1


def render_created(created: pb.CreateBookingResponse) -> HttpResponse:
    """Return the response to a granted request."""
    response = json_response(booking_json(created.booking), 201)
    location = f"{BOOKINGS_PATH}/{created.booking.id}".encode()
    response.headers.append((b"location", location))
    if created.replayed:
        response.headers.append((b"idempotency-replayed", b"true"))
    return response
