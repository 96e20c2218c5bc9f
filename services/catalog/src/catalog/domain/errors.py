"""The catalog's domain errors. A docstring is the message that people read."""

from goticket_kernel.errors import DomainError


class ValidationFailed(DomainError):
    """Some fields are not valid."""

    code = "validation_failed"


class InvalidEvent(ValidationFailed):
    """The event is not valid."""


class InvalidQuery(ValidationFailed):
    """The query is not valid."""


class EventNotFound(DomainError):
    """There is no such event."""

    code = "event_not_found"


class StaleVersion(DomainError):
    """The event has changed since the version that this change is based on."""

    code = "stale_version"


class EventBusy(DomainError):
    """Too many changes of the event at the moment; please try again shortly."""

    code = "busy"


class EventIsCancelled(DomainError):
    """The event is cancelled and cannot change any more."""

    code = "event_cancelled"


class CapacityBelowTaken(DomainError):
    """More tickets of this type are sold or held than the new capacity allows."""

    code = "capacity_below_taken"


class BookingUnavailable(DomainError):
    """The capacity cannot shrink while sold tickets cannot be counted; please try again shortly."""

    code = "unavailable"
