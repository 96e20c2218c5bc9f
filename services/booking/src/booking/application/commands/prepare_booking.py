"""Prepares a command: all work that needs no lock on the inventory."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from uuid import UUID

from booking.application.booking_context import BookingContext
from booking.application.ports import BuyerOfEvent, RequestKey
from booking.domain.booking import IssuedTicket, IssueTicket
from booking.domain.booking_creation import CommandLine, CreateBookingCommand

MAX_PRESIGNED_TICKETS = 20
"""Most tickets signed in advance for one command, which may still be rejected."""
FINGERPRINT_CACHE_SIZE = 1_024
"""Most cached fingerprints. Many commands for one event have the same lines."""
MAX_CACHED_LINES = 4
"""Fingerprints of more lines are not cached, so that the cache uses a megabyte at most."""


@dataclass(slots=True, eq=False)
class PreparedBooking:
    """A well-formed command with its booking id, signed tickets and fingerprint.

    `attempted` is set before the booking is first written. If a commit succeeded but its
    response was lost, the next attempt recognizes it by the booking id.
    """

    command: CreateBookingCommand
    booking_id: UUID
    message_headers: Mapping[str, str] = field(default_factory=dict)
    tickets: tuple[IssuedTicket, ...] = ()
    attempted: bool = False
    _fingerprint: bytes = b""

    @property
    def event_id(self) -> UUID:
        """Id of the event."""
        return self.command.event_id

    @property
    def fingerprint(self) -> bytes:
        """Digest that is stored with the key, to distinguish a repeat from another request."""
        if self.command.idempotency_key is not None and not self._fingerprint:
            self._fingerprint = fingerprint(self.command)
        return self._fingerprint

    @property
    def key(self) -> RequestKey | None:
        """The buyer and the idempotency key, if there is one."""
        key = self.command.idempotency_key
        return (self.command.buyer.user_id, key) if key is not None else None

    @property
    def buyer(self) -> BuyerOfEvent:
        """The event and the buyer, whose limits are checked together."""
        return (self.command.event_id, self.command.buyer.user_id)

    def issue_with(self, issue: IssueTicket) -> IssueTicket:
        """Return a function that returns the presigned tickets, then new ones from `issue`."""
        presigned = iter(self.tickets)
        return lambda event_id: next(presigned, None) or issue(event_id)


def prepare_booking(
    command: CreateBookingCommand, context: BookingContext, headers: Mapping[str, str]
) -> PreparedBooking:
    """Prepare a command. Signing tickets is the most expensive step.

    Nothing is signed in advance for a command that will probably be rejected: a rejection
    must not cost more than a booking. `headers` go into the messages that the booking causes.

    Raises:
        InvalidBooking: the command is malformed.
    """
    command.require_well_formed()
    prepared = PreparedBooking(command, context.new_id(), headers)
    event_id = command.event_id
    if event_id not in context.sold_out:
        _ = prepared.fingerprint
        if not command.hold and context.known_inventories.probably_grants(command, context.now()):
            quantity = sum(line.quantity for line in command.lines)
            count = min(quantity, MAX_PRESIGNED_TICKETS)
            prepared.tickets = tuple(context.issue(event_id) for _ in range(count))
    return prepared


def fingerprint(command: CreateBookingCommand) -> bytes:
    """Digest event, lines and hold; the order and splitting of the lines do not matter."""
    digest = _cached_digest if len(command.lines) <= MAX_CACHED_LINES else _digest
    return digest(command.event_id, command.lines, command.hold)


def _digest(event_id: UUID, lines: tuple[CommandLine, ...], hold: bool) -> bytes:
    merged: dict[str, int] = {}
    for line in lines:
        name = str(line.ticket_type_id or "")
        merged[name] = merged.get(name, 0) + line.quantity
    canonical = json.dumps([str(event_id), sorted(merged.items()), hold])
    return hashlib.sha256(canonical.encode()).digest()


_cached_digest = lru_cache(maxsize=FINGERPRINT_CACHE_SIZE)(_digest)
