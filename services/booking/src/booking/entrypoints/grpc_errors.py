"""The gRPC status of each of booking's errors, and public names of their fields."""

import re

import grpc
from goticket_kernel.errors import DomainError, FieldError, Forbidden
from goticket_platform.rpc.errors import ErrorTable

from booking.domain import errors

ERRORS = ErrorTable(
    domain="booking.goticket",
    statuses={
        errors.InvalidBooking: grpc.StatusCode.INVALID_ARGUMENT,
        errors.UnknownTicketType: grpc.StatusCode.INVALID_ARGUMENT,
        errors.MaxPerBookingExceeded: grpc.StatusCode.INVALID_ARGUMENT,
        errors.IdempotencyKeyReused: grpc.StatusCode.INVALID_ARGUMENT,
        errors.SoldOut: grpc.StatusCode.RESOURCE_EXHAUSTED,
        errors.EventNotFound: grpc.StatusCode.NOT_FOUND,
        errors.BookingNotFound: grpc.StatusCode.NOT_FOUND,
        errors.TicketNotFound: grpc.StatusCode.NOT_FOUND,
        Forbidden: grpc.StatusCode.PERMISSION_DENIED,
        errors.EventCancelled: grpc.StatusCode.FAILED_PRECONDITION,
        errors.EventOver: grpc.StatusCode.FAILED_PRECONDITION,
        errors.EventStarted: grpc.StatusCode.FAILED_PRECONDITION,
        errors.HoldExpired: grpc.StatusCode.FAILED_PRECONDITION,
        errors.HoldAlreadyExtended: grpc.StatusCode.FAILED_PRECONDITION,
        errors.MaxPerBuyerExceeded: grpc.StatusCode.FAILED_PRECONDITION,
        errors.TooManyHolds: grpc.StatusCode.FAILED_PRECONDITION,
        errors.BookingClosed: grpc.StatusCode.FAILED_PRECONDITION,
        errors.CapacityBelowTaken: grpc.StatusCode.FAILED_PRECONDITION,
        errors.RequestInProgress: grpc.StatusCode.ABORTED,
        errors.Busy: grpc.StatusCode.UNAVAILABLE,
        errors.CatalogUnavailable: grpc.StatusCode.UNAVAILABLE,
    },
)

_IDEMPOTENCY_KEY = "Idempotency-Key"
"""The header of the public API that carries a command's idempotency key."""
_LINE = re.compile(r"lines(?P<index>\[\d+\])?(?:\.(?P<attribute>\w+))?")
_ATTRIBUTES = {"quantity": "quantity", "ticket_type_id": "ticketTypeId"}


def with_public_fields(error: DomainError, *, only_quantity: bool) -> DomainError:
    """Return the error with its fields named as in the public API.

    `only_quantity` is True if the buyer gave a quantity without a list of items.
    """
    if not error.fields:
        return error
    fields = [
        FieldError(_public_field(each.field, only_quantity), each.message) for each in error.fields
    ]
    return type(error)(str(error), fields=fields, metadata=error.metadata)


def _public_field(field: str, only_quantity: bool) -> str:
    if field == "idempotency_key":
        return _IDEMPOTENCY_KEY
    found = _LINE.fullmatch(field)
    if found is None:
        return field
    attribute = found["attribute"]
    if only_quantity and attribute == "quantity":
        return attribute
    path = "items" + (found["index"] or "")
    return f"{path}.{_ATTRIBUTES[attribute]}" if attribute else path
