"""Every error of booking's domain. A docstring is the message that people read.

The names in `fields` are the attributes of a command, such as "lines[0].quantity". The
entry points translate them into the names of the public API.
"""

from goticket_kernel.errors import DomainError


class InvalidBooking(DomainError):
    """Some fields are not valid."""

    code = "validation_failed"


class UnknownTicketType(DomainError):
    """The event has no such ticket type."""

    code = "unknown_ticket_type"


class MaxPerBookingExceeded(DomainError):
    """The quantity exceeds the limit of this ticket type per booking."""

    code = "max_per_booking_exceeded"


class MaxPerBuyerExceeded(DomainError):
    """The quantity exceeds the limit per buyer."""

    code = "max_per_buyer_exceeded"


class TooManyHolds(DomainError):
    """You have the maximum number of holds of this event."""

    code = "too_many_holds"


class SoldOut(DomainError):
    """Not enough tickets of this type are available."""

    code = "sold_out"


class EventNotFound(DomainError):
    """There is no such event on sale."""

    code = "event_not_found"


class EventCancelled(DomainError):
    """The event has been cancelled."""

    code = "event_cancelled"


class EventOver(DomainError):
    """The event is over."""

    code = "event_over"


class EventStarted(DomainError):
    """The event has started; its bookings can no longer be cancelled."""

    code = "event_started"


class BookingNotFound(DomainError):
    """There is no such booking."""

    code = "booking_not_found"


class TicketNotFound(DomainError):
    """There is no such ticket."""

    code = "ticket_not_found"


class HoldExpired(DomainError):
    """The hold has expired; its tickets are on sale again."""

    code = "hold_expired"


class HoldAlreadyExtended(DomainError):
    """The hold has been extended before."""

    code = "hold_already_extended"


class BookingClosed(DomainError):
    """The booking has ended and can no longer change."""

    code = "booking_closed"


class IdempotencyKeyReused(DomainError):
    """This idempotency key was used before, for a different request."""

    code = "idempotency_key_reused"


class RequestInProgress(DomainError):
    """A request with this idempotency key is still running; please try again in a moment."""

    code = "request_in_progress"


class CapacityBelowTaken(DomainError):
    """The capacity cannot be less than what is already sold or held."""

    code = "capacity_below_taken"


class Busy(DomainError):
    """Too many requests at the moment; please try again shortly."""

    code = "busy"


class CatalogUnavailable(DomainError):
    """The event is unavailable at the moment; please try again shortly."""

    code = "unavailable"
