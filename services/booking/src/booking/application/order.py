"""A request made ready: whatever can be done before any stock is locked."""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from booking.application.ports import BuyerOfEvent, NewId, RequestKey
from booking.domain.booking import IssueTicket, TicketStub
from booking.domain.placing import BookingRequest, Line

MAX_READY = 20
"""Most tickets signed ahead for one request; it may yet be refused."""
REMEMBERED = 1_024
"""Latest fingerprints that are kept: a crowd asks for the same."""


@dataclass(slots=True, eq=False)
class Order:
    """A well-formed request for an event with the ids, tickets and fingerprint it will need.

    `tried` is set before its booking is first written. A commit whose answer was lost
    is recognised by the booking's id when the order is tried again.
    """

    event_id: UUID
    request: BookingRequest
    booking_id: UUID
    tickets: tuple[TicketStub, ...] = ()
    tried: bool = False
    _fingerprint: bytes = b""

    @property
    def fingerprint(self) -> bytes:
        """What is stored with the key to tell another request from a repeat."""
        if self.request.key is not None and not self._fingerprint:
            self._fingerprint = fingerprint(self.event_id, self.request)
        return self._fingerprint

    @property
    def key(self) -> RequestKey | None:
        """The buyer and the idempotency key, if there is one."""
        request = self.request
        return (request.buyer.user_id, request.key) if request.key is not None else None

    @property
    def buyer(self) -> BuyerOfEvent:
        """Whom a limit of the event would stop."""
        return (self.event_id, self.request.buyer.user_id)

    def issuing(self, issue: IssueTicket) -> IssueTicket:
        """Hand out the tickets that are ready, then new ones from `issue`."""
        ready = iter(self.tickets)
        return lambda event_id: next(ready, None) or issue(event_id)


def prepare(
    event_id: UUID,
    request: BookingRequest,
    *,
    new_id: NewId,
    issue: IssueTicket,
    likely: bool = True,
) -> Order:
    """Make a request ready; signing is what takes longest of all.

    One that is not `likely` to be granted gets its tickets and fingerprint when it is.

    Raises:
        InvalidBooking: it is malformed, whatever the event.
    """
    request.must_be_well_formed()
    order = Order(event_id, request, new_id())
    if likely:
        wanted = 0 if request.hold else sum(line.quantity for line in request.lines)
        order.tickets = tuple(issue(event_id) for _ in range(min(wanted, MAX_READY)))
        _ = order.fingerprint
    return order


def fingerprint(event_id: UUID, request: BookingRequest) -> bytes:
    """Digest what a request asks for; the order and splitting of its lines do not matter."""
    return _digest(event_id, request.lines, request.hold)


@lru_cache(maxsize=REMEMBERED)
def _digest(event_id: UUID, lines: tuple[Line, ...], hold: bool) -> bytes:
    merged: dict[str, int] = {}
    for line in lines:
        name = str(line.ticket_type_id or "")
        merged[name] = merged.get(name, 0) + line.quantity
    canonical = json.dumps([str(event_id), sorted(merged.items()), hold])
    return hashlib.sha256(canonical.encode()).digest()
