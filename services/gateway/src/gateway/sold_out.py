"""What is sold out, remembered for a moment, so that a crowd turned away costs no call.

Rules:

- Remembered is what booking answered, or told over Redis, at most REMEMBER_SECONDS ago.
  So a notice that was lost, or a Redis that is away, keeps returned stock closed for that
  long at most, and about one call a second asks anew.
- Only "none left" is remembered: who wanted more than there is says nothing about who
  wants less.
- Only the asked ticket types count, and one of them that is sold out is enough: booking
  grants all lines or none.
- A request under an idempotency key is always sent. It may repeat one that was granted,
  maybe through another gateway, and then has to get the first answer; booking alone
  knows. Such requests cost a share of a batch.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from goticket.booking.v1 import booking_pb2 as pb
from goticket_platform.rpc.errors import RemoteError
from prometheus_client import Counter

from gateway.booking_submission.submitter import BookingSubmitter, IsDisconnected
from gateway.origin import Origin
from gateway.problems import Problem

REMEMBER_SECONDS = 1.0
REMEMBERED = 20_000
"""Ticket types that are remembered at most; the oldest go first."""

ONLY = ""
"""Stands for the only ticket type of an event, as in booking's lines."""

REFUSALS = Counter("goticket_gateway_sold_out_refusals", "Requests refused from memory")


@dataclass(frozen=True, slots=True)
class _Notice:
    closed_until: float
    version: int


class SoldOut:
    """Remembers sold-out ticket types; `clock` returns monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._notices: OrderedDict[tuple[str, str], _Notice] = OrderedDict()

    def refuses(self, request: pb.CreateBookingRequest) -> bool:
        """Tell whether booking would answer "sold_out", as far as is remembered."""
        if not self._notices or request.idempotency_key:
            return False
        return any(self._is_closed(request.event_id, line.ticket_type_id) for line in request.lines)

    def facts(self, request: pb.CreateBookingRequest) -> Mapping[str, str | int]:
        """Tell what booking would tell with its refusal; the only type of an event has no name."""
        closed = (
            line.ticket_type_id
            for line in request.lines
            if self._is_closed(request.event_id, line.ticket_type_id)
        )
        type_id = next(closed, ONLY)
        return {"available": 0} | ({} if type_id == ONLY else {"ticketTypeId": type_id})

    def learn(self, request: pb.CreateBookingRequest, metadata: Mapping[str, str]) -> None:
        """Remember why booking refused this request as sold out."""
        if metadata.get("available") != "0" or not (type_id := metadata.get("ticketTypeId")):
            return
        until = self._clock() + REMEMBER_SECONDS
        self._close(request.event_id, type_id, until)
        if any(line.ticket_type_id == ONLY for line in request.lines):
            self._close(request.event_id, ONLY, until)

    def on_notice(self, notice: Mapping[str, Any]) -> None:
        """Read a notice of SOLD_OUT_CHANNEL.

        Raises:
            KeyError, ValueError, TypeError: it is none.
        """
        self.hear(
            str(notice["eventId"]),
            str(notice["ticketTypeId"]),
            int(notice["available"]),
            int(notice["version"]),
        )

    def hear(self, event_id: str, ticket_type_id: str, available: int, version: int) -> None:
        """Take booking's notice of what is left; one older than what is known says nothing."""
        known = self._notices.get((event_id, ticket_type_id))
        if known and version < known.version:
            return
        if available > 0:
            self._note(event_id, ticket_type_id, _Notice(0.0, version))
            self._notices.pop((event_id, ONLY), None)
        else:
            until = self._clock() + REMEMBER_SECONDS
            self._note(event_id, ticket_type_id, _Notice(until, version))

    def _is_closed(self, event_id: str, type_id: str) -> bool:
        notice = self._notices.get((event_id, type_id))
        return notice is not None and self._clock() < notice.closed_until

    def _close(self, event_id: str, type_id: str, until: float) -> None:
        known = self._notices.get((event_id, type_id))
        self._note(event_id, type_id, _Notice(until, known.version if known else 0))

    def _note(self, event_id: str, type_id: str, notice: _Notice) -> None:
        self._notices[event_id, type_id] = notice
        self._notices.move_to_end((event_id, type_id))
        if len(self._notices) > REMEMBERED:
            self._notices.popitem(last=False)


class BookingDesk:
    """Where new bookings go: refused from memory, or carried to booking."""

    def __init__(self, submitter: BookingSubmitter, sold_out: SoldOut) -> None:
        self._submitter = submitter
        self._sold_out = sold_out

    def excess(self, event_id: str) -> str | None:
        """Tell why whoever asks for this event now is refused as "busy"; None when they are not."""
        return self._submitter.rejection_reason(event_id)

    async def submit(
        self,
        request: pb.CreateBookingRequest,
        origin: Origin,
        is_disconnected: IsDisconnected | None = None,
    ) -> pb.CreateBookingResponse:
        """Book; see `BookingSubmitter.submit`.

        Raises:
            Problem: sold_out or busy.
            RemoteError: booking refused it, or its call failed.
        """
        if self._sold_out.refuses(request):
            REFUSALS.inc()
            raise Problem("sold_out", facts=self._sold_out.facts(request))
        try:
            return await self._submitter.submit(request, origin, is_disconnected)
        except RemoteError as error:
            if error.code == "sold_out":
                self._sold_out.learn(request, error.metadata)
            raise
