"""What the catalog refuses; a docstring is the message that people read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field, named as in the public JSON ("ticketTypes[0].price")."""

    field: str
    message: str


class DomainError(Exception):
    """The catalog refused the request."""

    code: ClassVar[str]
    fields: tuple[FieldError, ...] = ()
    metadata: Mapping[str, str] = {}

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class ValidationFailed(DomainError):
    """Some fields are not valid."""

    code = "validation_failed"

    def __init__(self, fields: Iterable[FieldError] = ()) -> None:
        super().__init__()
        self.fields = tuple(fields)


class InvalidEvent(ValidationFailed):
    """The event is not valid."""


class InvalidQuery(ValidationFailed):
    """The query is not valid."""


class EventNotFound(DomainError):
    """There is no such event."""

    code = "event_not_found"


class NotAllowed(DomainError):
    """Only the event's organizer or an admin may do this."""

    code = "forbidden"


class StaleVersion(DomainError):
    """The event has changed since the version this change is based on."""

    code = "stale_version"


class EventBusy(DomainError):
    """The event is being changed by others all the time; try again in a moment."""

    code = "busy"


class EventIsCancelled(DomainError):
    """The event is cancelled and cannot change any more."""

    code = "event_cancelled"


class CapacityBelowTaken(DomainError):
    """More tickets of this type are sold or held than the new capacity allows."""

    code = "capacity_below_taken"

    def __init__(self, message: str | None = None, metadata: Mapping[str, str] | None = None):
        super().__init__(message)
        self.metadata = dict(metadata or {})


class BookingUnavailable(DomainError):
    """Sold tickets cannot be counted right now, so capacity cannot shrink; try again shortly."""

    code = "unavailable"
