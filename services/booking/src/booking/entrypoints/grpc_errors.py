"""Which gRPC status each of booking's errors gets."""

import grpc
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
        errors.Forbidden: grpc.StatusCode.PERMISSION_DENIED,
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
