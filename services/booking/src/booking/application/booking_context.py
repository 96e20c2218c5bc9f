"""The dependencies of the creation of bookings, and its results."""

from dataclasses import dataclass, field
from datetime import timedelta

from booking.application.commands.provision_event import ProvisionEvent
from booking.application.in_flight_keys import InFlightKeys
from booking.application.known_inventories import KnownInventories
from booking.application.ports import Clock, CreationStore, MessageHeaders, NewId
from booking.application.sold_out_events import SoldOutEvents
from booking.domain.booking import Booking, IssueTicket
from booking.domain.event import Event


@dataclass(frozen=True, slots=True)
class CreatedBooking:
    """The booking of a granted command.

    `replayed` is True if an earlier request with the same idempotency key created it.
    """

    booking: Booking
    event: Event
    replayed: bool = False


BookingResult = CreatedBooking | Exception
"""The booking that a command led to, or the error: a DomainError if it was rejected."""


@dataclass(frozen=True)
class BookingContext:
    """The dependencies and limits of the creation of bookings."""

    bookings: CreationStore
    provision: ProvisionEvent
    in_flight_keys: InFlightKeys
    issue: IssueTicket
    new_id: NewId
    now: Clock
    hold_for: timedelta
    message_headers: MessageHeaders
    max_holds: int = 0
    """Most holds of one buyer per event at a time; 0 means no limit."""
    sold_out: SoldOutEvents = field(default_factory=SoldOutEvents)
    known_inventories: KnownInventories = field(default_factory=KnownInventories)
